// A scripted session through the types that openapi-typescript generates.

import createClient from "openapi-fetch";

import type { paths } from "./api";

declare const process: { argv: string[]; exit(code: number): never };

function must<T>(what: string, answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) {
    console.error(what, answer.error);
    process.exit(1);
  }
  return answer.data;
}

async function session(baseUrl: string): Promise<void> {
  const nobody = createClient<paths>({ baseUrl });
  const pair = must(
    "sign in",
    await nobody.POST("/api/v1/auth/sign-in", { body: { login: "ada", password: "correct horse battery" } }),
  );
  const me = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${pair.access_token}` } });
  const workspace = must("workspace", await me.POST("/api/v1/workspaces", { body: { name: "TypeScript" } }));
  const project = must(
    "project",
    await me.POST("/api/v1/workspaces/{workspace_id}/projects", {
      params: { path: { workspace_id: workspace.id } },
      body: { name: "From TypeScript" },
    }),
  );
  const path = { project_id: project.id };
  const boards = must("boards", await me.GET("/api/v1/projects/{project_id}/workflows", { params: { path } }));
  const slug = boards.items[0]!.slug;
  const board = must(
    "board",
    await me.GET("/api/v1/projects/{project_id}/workflows/{workflow}", { params: { path: { ...path, workflow: slug } } }),
  );
  const story = must(
    "story",
    await me.POST("/api/v1/projects/{project_id}/stories", {
      params: { path },
      body: { title: "Written in TypeScript", status_id: board.statuses[0]!.id },
    }),
  );
  const one = { ...path, ref: String(story.ref) };
  const late = await me.PATCH("/api/v1/projects/{project_id}/stories/{ref}", {
    params: { path: one },
    body: { title: "Late", version: 99 },
  });
  if (late.error?.code !== "stale") {
    console.error("a stale change", late);
    process.exit(1);
  }
  must("comment", await me.POST("/api/v1/projects/{project_id}/stories/{ref}/comments", { params: { path: one }, body: { body: "Hello" } }));
  console.log("typescript: ok");
}

session(process.argv[2]!).catch((error) => {
  console.error(error);
  process.exit(1);
});
