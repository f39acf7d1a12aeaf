-- Ranks that are longer than any that is made now; a job makes them short, and then the index is empty.
CREATE INDEX stories_long_ranks ON stories (status_id) WHERE length(rank) > 32;
