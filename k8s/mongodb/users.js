// The two users of the database with the roles of roles.json, made or brought up to date:
//
//   YZ_MONGODB_PASSWORD_WORKER=... YZ_MONGODB_PASSWORD_OPERATOR=... [YZ_MONGODB_DATABASE=yizhan] \
//       mongosh "mongodb://admin@host/?authSource=admin" --file k8s/mongodb/users.js
//
// Neither may remove a document, drop, change or copy a collection, or see another database: nothing that
// Yizhan does needs it. Only yz-worker and yzctl have one; the gateway has no database.
const fs = require("fs");
const path = require("path");

const database = process.env.YZ_MONGODB_DATABASE || "yizhan";
const admin = db.getSiblingDB("admin");

for (const { role, user, privileges } of JSON.parse(fs.readFileSync(path.join(__dirname, "roles.json"), "utf8"))) {
  const variable = `YZ_MONGODB_PASSWORD_${user.toUpperCase()}`;
  const password = process.env[variable];
  if (!password) throw new Error(`${variable} is not set`);
  const granted = privileges.map((p) => ({ ...p, resource: { ...p.resource, db: database } }));
  if (admin.getRole(role)) admin.updateRole(role, { privileges: granted, roles: [] });
  else admin.createRole({ role, privileges: granted, roles: [] });
  if (admin.getUser(user)) admin.updateUser(user, { pwd: password, roles: [role] });
  else admin.createUser({ user, pwd: password, roles: [role] });
  print(`${user}: ${role} on ${database}`);
}
