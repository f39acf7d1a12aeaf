DROP INDEX stories_long_ranks;
