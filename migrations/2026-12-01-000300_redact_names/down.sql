DROP TRIGGER changes_without_names ON changes;
DROP FUNCTION changes_without_names();
DROP FUNCTION change_without_names(text, jsonb);
DROP FUNCTION without_people(jsonb);
