# Which processes serve, work and schedule on this machine, where each listens, and whether the database is here.
{ config, lib }:
let
  cfg = config.services.tenon;
  inherit (cfg) instances monitoring;
  addresses = import ./addresses.nix { inherit lib; };

  apis =
    if instances == 1 then
      [ { unit = "tenon"; role = "api"; socket = "/run/tenon/api.sock"; port = cfg.listen.port; } ]
    else
      map (number: {
        unit = "tenon@${toString number}";
        role = "api";
        socket = "/run/tenon/api-${toString number}.sock";
        port = cfg.listen.port + number - 1;
      }) (lib.range 1 instances);

  scheduler = lib.optional cfg.scheduler.enable { unit = "tenon-scheduler"; role = "scheduler"; };

  workers = map (name: { unit = "tenon-worker-${name}"; role = "worker"; inherit name; }) (lib.attrNames cfg.workers);

  numbered = lib.imap0 (
    index: process:
    process
    // rec {
      metricsPort = monitoring.firstPort + index;
      metrics = addresses.withPort monitoring.address metricsPort;
    }
  ) (apis ++ scheduler ++ workers);
in
{
  processes = numbered;
  apis = lib.filter (process: process.role == "api") numbered;
  scheduler = lib.filter (process: process.role == "scheduler") numbered;
  workers = lib.filter (process: process.role == "worker") numbered;

  # Over a unix socket nobody else is on the way, whoever has set that Postgres up.
  databaseHere = cfg.database.createLocally || addresses.isSocket cfg.database.host;

  # Whether a proxy of this machine is in front: it enters by unix sockets.
  proxied = cfg.proxy.caddy.enable || cfg.proxy.nginx.enable;
}
