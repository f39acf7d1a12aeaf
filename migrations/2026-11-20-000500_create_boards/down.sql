DROP TABLE attachments;
DROP TABLE blobs;
DROP TABLE comment_edits;
DROP TABLE comments;
DROP TABLE stories;
DROP TABLE statuses;
DROP TABLE workflow_slugs;
DROP TABLE workflows;
