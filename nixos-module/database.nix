# Postgres: the one of this machine over its unix socket, or another by URL.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) database;
  addresses = import ./addresses.nix { inherit lib; };
  overSocket = addresses.isSocket database.host;

  url =
    if database.createLocally then
      "postgres:///${database.name}?host=/run/postgresql&user=${database.user}"
    else if overSocket then
      "postgres:///${database.name}?host=${database.host}&user=${database.user}"
      + lib.optionalString (database.port != 5432) "&port=${toString database.port}"
    else
      "postgres://${database.user}@${addresses.withPort (toString database.host) database.port}/${database.name}?${encryption}";

  # A certificate is verified, with the name of the server, or there is none.
  encryption =
    if database.encrypt then
      "sslmode=verify-full" + lib.optionalString (database.caFile != null) "&sslrootcert=${database.caFile}"
    else
      "sslmode=disable";
in
{
  options.services.tenon.database = {
    createLocally = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to use the Postgres of this machine, and to make the database and its owner there. No password is needed: Postgres asks the system who is calling.";
    };
    host = mkOption {
      type = types.nullOr addresses.host;
      default = null;
      example = "db.example.org";
      description = "Where a Postgres elsewhere is; or, of one on this machine that is set up otherwise, the directory of its socket: `/run/postgresql`.";
    };
    port = mkOption {
      type = types.port;
      default = 5432;
      description = "Port of a Postgres elsewhere.";
    };
    encrypt = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the connection to a Postgres elsewhere is encrypted, and its certificate verified. Without, whoever is on the way reads everything.";
    };
    caFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/etc/ssl/our-authority.pem";
      description = "File with the certificates of those who may sign that of a Postgres elsewhere, in PEM. Null trusts those whom browsers trust.";
    };
    name = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_]*";
      default = "tenon";
      description = "Name of the database.";
    };
    user = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_]*";
      default = "tenon";
      description = "Role that owns the database.";
    };
  };

  config = mkIf cfg.enable {
    services.tenon.settings.database = mkIf (cfg.secrets.databaseUrlFile == null) { url = mkDefault url; };

    services.postgresql = mkIf database.createLocally {
      enable = true;
      ensureDatabases = [ database.name ];
      ensureUsers = [
        {
          name = database.user;
          ensureDBOwnership = true;
          ensureClauses = {
            # A restore makes a new database beside the old one.
            createdb = mkIf cfg.backup.enable true;
            replication = mkIf (cfg.backup.enable && cfg.backup.pointInTime.enable) true;
          };
        }
      ];
    };

    assertions = [
      {
        assertion = database.createLocally -> database.user == cfg.user && database.name == database.user;
        message = "services.tenon.database: on a local Postgres the database, its owner and the account have one name, since Postgres asks the system who is calling: leave database.name, database.user and user alone, or make the database yourself and set database.createLocally = false.";
      }
      {
        assertion =
          database.createLocally
          -> database.host == null && cfg.secrets.databaseUrlFile == null && cfg.secrets.databasePasswordFile == null;
        message = "services.tenon.database: a database elsewhere is configured, but createLocally is on: set services.tenon.database.createLocally = false.";
      }
      {
        assertion = !database.createLocally -> database.host != null || cfg.secrets.databaseUrlFile != null || cfg.settings.database.url != url;
        message = "services.tenon.database: createLocally is off, but nothing says where the database is: set services.tenon.database.host or services.tenon.secrets.databaseUrlFile.";
      }
      {
        assertion = database.caFile != null -> database.host != null && !overSocket && database.encrypt;
        message = "services.tenon.database.caFile is of the encrypted connection to services.tenon.database.host, and there is none; in a whole URL say sslrootcert=….";
      }
      {
        assertion = cfg.secrets.databasePasswordFile == null || cfg.secrets.databaseUrlFile == null;
        message = "services.tenon.secrets: databaseUrlFile has the password in it already; leave out databasePasswordFile.";
      }
      {
        assertion = database.createLocally -> lib.versionAtLeast config.services.postgresql.package.version "14";
        message = "services.tenon: Postgres ${config.services.postgresql.package.version} is too old; Tenon needs 14 or newer. Set services.postgresql.package.";
      }
    ];
  };
}
