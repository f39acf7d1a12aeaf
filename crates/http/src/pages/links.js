// What mailed links lead to: /#/<what>/<token>. The token is behind the hash, so it is in no log and no Referer.
"use strict";

const API = "/api/v1";

// Where a page leads on to.
const SIGN_IN = ["/#sign-in", "How to sign in"];
const START = ["/", "To the start page"];

// Refusals after which the link opens nothing any more, whatever is typed.
const OVER = {
  "link-not-valid": "This link was used already, has ended, or never was. Ask whoever sent it for a new one.",
  "already-claimed": "This instance has its administrator already; the link made them, or another did. Sign in, or ask them for an account.",
  "not-found": "This invitation was answered already, was taken back, or has ended. Ask whoever invited you for a new one.",
  "invitation-not-pending": "This invitation was answered already.",
};

// What each kind of link asks for, says and calls.
const LINKS = {
  "verify-email": {
    title: "Verify your address",
    lead: "One click and your account is ready.",
    button: "Verify my address",
    act: (token) => call("/auth/verify-email", { token }),
    done: "Your address is verified. You can sign in now.",
    next: SIGN_IN,
  },
  "reset-password": {
    title: "Choose a new password",
    lead: "At least 10 characters; a few unusual words do well.",
    fields: [["password", "New password", "password", "new-password"]],
    button: "Set the password",
    act: (token, values) => call("/auth/reset-password", { token, ...values }),
    done: "Your password is changed, and every session has ended. Sign in with the new one.",
    next: SIGN_IN,
  },
  "change-email": {
    title: "Change of address",
    lead: "Your consent is needed at the old and at the new address.",
    button: "I consent",
    act: (token) => call("/auth/change-email", { token }),
    done: "Thank you. The address changes as soon as both addresses have consented.",
  },
  claim: {
    title: "Become the administrator",
    lead: "This link makes the first administrator of this instance. It works once.",
    fields: [
      ["email", "Your address", "email", "email"],
      ["full_name", "Your name", "text", "name"],
      ["password", "Password, at least 10 characters", "password", "new-password"],
    ],
    button: "Make my account",
    act: (token, values) => call("/auth/claim", { token, ...values }),
    done: "Your account is ready, and you administer this instance.",
    next: SIGN_IN,
  },
  invitation: {
    title: "You are invited",
    preview: async (token) => {
      const about = await call("/invitations/preview", { token });
      return `${about.inviter || "Somebody"} invites you to the ${about.kind} “${about.place_name}”. Sign in to accept.`;
    },
    fields: [
      ["login", "Your address or username", "text", "username"],
      ["password", "Password", "password", "current-password"],
    ],
    button: "Accept",
    act: async (token, values) => {
      const session = await call("/auth/sign-in", values);
      try {
        await call("/invitations/accept", { token }, session.access_token);
      } finally {
        await call("/auth/sign-out", {}, session.access_token).catch(() => {});
      }
    },
    done: "You are in.",
    next: SIGN_IN,
    refuse: { button: "Decline", act: (token) => call("/invitations/deny", { token }), done: "You declined the invitation." },
  },
};

async function call(path, body, bearer) {
  const headers = { "content-type": "application/json" };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  const answer = await fetch(API + path, { method: "POST", headers, body: JSON.stringify(body), credentials: "omit" });
  const text = await answer.text();
  const json = text ? JSON.parse(text) : null;
  if (answer.ok) return json;
  const faults = (json && json.errors) || [];
  const error = new Error(faults.map((f) => f.detail).join(" ") || (json && json.detail) || "That did not work.");
  throw Object.assign(error, { code: json && json.code });
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function say(form, text, isError) {
  const line = form.querySelector("[role=status]");
  line.textContent = text;
  line.className = isError ? "said wrong" : "said";
}

/** Nothing is left to fill in: what became of it, and where to go from here. */
function close(form, text, isError, next) {
  const line = element("p", { className: isError ? "said wrong" : "said", textContent: text });
  line.setAttribute("role", "status");
  const ways = [next, START].filter(Boolean).map(([href, textContent]) => element("a", { href, textContent }));
  form.replaceChildren(line, element("p", { className: "next" }, ...ways));
  // What was used opens nothing any more; it need not stay in the address bar.
  history.replaceState(null, "", location.pathname);
}

async function run(form, what, act, done, next) {
  const buttons = form.querySelectorAll("button");
  buttons.forEach((b) => { b.disabled = true; });
  try {
    await act();
    close(form, done, false, next);
  } catch (error) {
    if (Object.hasOwn(OVER, error.code)) return close(form, OVER[error.code], true, SIGN_IN);
    say(form, error.message, true);
    buttons.forEach((b) => { b.disabled = false; });
  }
}

function show() {
  const [, what, token] = location.hash.match(/^#\/([a-z-]+)\/([A-Za-z0-9_-]+)$/) || [];
  const link = Object.hasOwn(LINKS, what) ? LINKS[what] : null;
  if (!link) return;
  const lead = element("p", { className: "lead", textContent: link.lead || "" });
  const form = element("form", { className: "link" });
  for (const [name, label, type, autocomplete] of link.fields || []) {
    form.append(element("label", {}, label, element("input", { name, type, autocomplete, required: true })));
  }
  form.append(element("button", { textContent: link.button }));
  if (link.refuse) {
    const refuse = element("button", { type: "button", className: "quiet", textContent: link.refuse.button });
    refuse.addEventListener("click", () => run(form, what, () => link.refuse.act(token), link.refuse.done));
    form.append(refuse);
  }
  const status = element("p", { className: "said" });
  status.setAttribute("role", "status");
  form.append(status);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    run(form, what, () => link.act(token, values), link.done, link.next);
  });
  const main = document.querySelector("main");
  main.replaceChildren(main.querySelector("img"), element("h1", { textContent: link.title }), lead, form);
  if (link.preview) {
    link.preview(token).then((text) => { lead.textContent = text; }, (error) => {
      if (Object.hasOwn(OVER, error.code)) close(form, OVER[error.code], true, SIGN_IN);
      else say(form, error.message, true);
    });
  }
}

// Commands on the page name the address that it was asked for by.
for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.origin;
addEventListener("hashchange", () => (location.hash.startsWith("#/") ? show() : undefined));
show();
