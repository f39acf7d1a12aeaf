DROP TABLE invitations;
DROP TABLE project_members;
DROP TABLE project_roles;
DROP TABLE projects;
DROP TABLE workspace_members;
DROP TABLE workspaces;
