-- The log holds ids of people; names are joined when it is read. So nothing of a person stays when an account ends.

-- A value with ids in the place of people: objects of exactly these members.
CREATE FUNCTION without_people(value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    result jsonb := value;
BEGIN
    IF jsonb_typeof(value) = 'object' THEN
        IF value ?& ARRAY['id', 'username', 'full_name', 'color'] AND (SELECT count(*) FROM jsonb_object_keys(value)) = 4 THEN
            RETURN jsonb_build_object('$person', value->'id');
        END IF;
        SELECT coalesce(jsonb_object_agg(e.key, without_people(e.value)), '{}') INTO result FROM jsonb_each(value) e;
    ELSIF jsonb_typeof(value) = 'array' THEN
        SELECT coalesce(jsonb_agg(without_people(e.item) ORDER BY e.n), '[]') INTO result
        FROM jsonb_array_elements(value) WITH ORDINALITY AS e(item, n);
    END IF;
    RETURN result;
END $$;

-- What a change of a kind says, with ids in the place of names.
CREATE FUNCTION change_without_names(kind text, value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF kind ~ '^(workspace_)?invitation[.]' THEN
        IF jsonb_typeof(value->'email') = 'string' THEN
            value := jsonb_set(value, '{email}', jsonb_build_object('$invitation_email', value->'id'));
        END IF;
        IF jsonb_typeof(value->'username') = 'string' THEN
            value := jsonb_set(value, '{username}', jsonb_build_object('$username', value->'user_id'));
        END IF;
    END IF;
    RETURN without_people(value);
END $$;

UPDATE changes SET data = change_without_names(kind, data), before = change_without_names(kind, before)
WHERE data::text LIKE '%"full_name"%' OR before::text LIKE '%"full_name"%' OR kind ~ '^(workspace_)?invitation[.]';

-- The program of before goes on writing names while it runs.
CREATE FUNCTION changes_without_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.data := change_without_names(NEW.kind, NEW.data);
    NEW.before := change_without_names(NEW.kind, NEW.before);
    RETURN NEW;
END $$;
CREATE TRIGGER changes_without_names BEFORE INSERT ON changes FOR EACH ROW
    WHEN (NEW.data::text LIKE '%"full_name"%' OR NEW.before::text LIKE '%"full_name"%'
          OR jsonb_typeof(NEW.data->'email') = 'string' OR jsonb_typeof(NEW.data->'username') = 'string')
    EXECUTE FUNCTION changes_without_names();

-- Logs of people who are gone, but for their last word.
DELETE FROM changes c USING streams s
WHERE s.id = c.stream AND s.kind = 'person' AND c.kind <> 'account.deleted'
  AND NOT EXISTS (SELECT FROM users u WHERE u.id = s.id);

-- Mails that were sent; those that were not are kept for a week, to be sent again.
UPDATE finished_jobs SET payload = '{}', error = NULL, errors = NULL
WHERE name = 'send_mail' AND state IN ('done', 'cancelled');
