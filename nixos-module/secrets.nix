# Secrets: files outside the store, which systemd hands to each unit and nobody else can read.
#
# systemd reads them as root (LoadCredential), so they may belong to root; sops-nix and agenix put them where
# these options point. The program finds each in $CREDENTIALS_DIRECTORY, under the name of its key.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;

  # Option → the keys of the configuration that the secret stands for, and what it is.
  secrets = {
    signingKeys = {
      keys = [ "auth.signing_keys" ];
      about = "Keys that sign access tokens, one `name:secret` a line. Needed when several machines serve one installation; otherwise a key is made on the first start and kept in `stateDir`";
    };
    databaseUrl = {
      keys = [ "database.url" ];
      about = "The whole `postgres://user:password@host/database` of a database elsewhere. With it `database.createLocally` must be off";
    };
    redisUrl = {
      keys = [ "bus.url" "cache.url" "limiter.url" ] ++ lib.optional cfg.redis.queue "queue.url";
      about = "The whole `rediss://user:password@host:6379/0` of a Redis elsewhere. With it `redis.createLocally` must be off";
    };
    s3AccessKeyId = {
      keys = [ "storage.access_key_id" ];
      about = "Name of the key for `storage.s3`";
    };
    s3SecretAccessKey = {
      keys = [ "storage.secret_access_key" ];
      about = "The key itself for `storage.s3`";
    };
    smtpPassword = {
      keys = [ "mail.password" ];
      about = "Password for `mail.smtp.username`";
    };
    backupIdentity = {
      keys = [ "backup.identity" ];
      about = "Private keys of age, one a line, that open encrypted backups: for the drill, and to restore";
    };
    backupS3AccessKeyId = {
      keys = [ "backup.target.access_key_id" ];
      about = "Name of the key for `backup.s3`";
    };
    backupS3SecretAccessKey = {
      keys = [ "backup.target.secret_access_key" ];
      about = "The key itself for `backup.s3`";
    };
    databasePassword = {
      keys = [ "database.password" ];
      about = "Password for `database.user` at `database.host`";
    };
    metricsToken = {
      keys = [ "metrics.token" ];
      about = "What readers of the figures must show, at least 16 characters; needed only when `monitoring.address` is not on loopback";
    };
  };

  fileOf = name: cfg.secrets."${name}File";
  given = lib.filterAttrs (name: _: fileOf name != null) secrets;
  # Every text in the settings.
  texts =
    value:
    if builtins.isString value then [ value ]
    else if builtins.isAttrs value then lib.concatMap texts (lib.attrValues value)
    else if builtins.isList value then lib.concatMap texts value
    else [ ];
  hasPassword = text: builtins.match ".*://[^/@]*:[^/@]+@.*" text != null || builtins.match ".*[?&]password=.*" text != null;

  inStore = lib.filterAttrs (name: _: lib.hasPrefix builtins.storeDir (toString (fileOf name))) given;
in
{
  options.services.tenon = {
    secrets = lib.mapAttrs' (
      name: secret:
      lib.nameValuePair "${name}File" (mkOption {
        # Not `types.path`: it would take `./secret` and copy it to the store before anybody can object.
        type = types.nullOr (types.either types.str types.path);
        default = null;
        example = "/run/secrets/tenon-${name}";
        description = "File outside the store. ${secret.about}.";
      })
    ) secrets;

    credentials = mkOption {
      type = types.listOf types.str;
      internal = true;
      readOnly = true;
      description = "What LoadCredential says in each unit.";
    };
  };

  config = mkIf cfg.enable {
    services.tenon.credentials = lib.concatLists (
      lib.mapAttrsToList (name: secret: map (key: "${key}:${toString (fileOf name)}") secret.keys) given
    );

    assertions = [
      {
        assertion = inStore == { } && lib.all (name: !builtins.isPath (fileOf name)) (lib.attrNames given);
        message = "services.tenon.secrets: ${
          lib.concatMapStringsSep ", " (name: "${name}File") (
            lib.filter (name: inStore ? ${name} || builtins.isPath (fileOf name)) (lib.attrNames given)
          )
        } would be in the store, where everybody can read it. Write the path of a file outside of it, as text: \"/run/secrets/…\".";
      }
      {
        assertion = lib.all (name: lib.hasPrefix "/" (toString (fileOf name))) (lib.attrNames given);
        message = "services.tenon.secrets: each must be the absolute path of a file.";
      }
      {
        assertion = lib.all (name: !(lib.hasAttrByPath (lib.splitString "." name) cfg.settings)) [
          "auth.signing_keys"
          "backup.identity"
          "backup.target.access_key_id"
          "backup.target.secret_access_key"
          "database.password"
          "mail.password"
          "metrics.token"
          "storage.access_key_id"
          "storage.secret_access_key"
        ];
        message = "services.tenon.settings has a secret in it, which would be in the store, where everybody can read it. Use services.tenon.secrets.";
      }
      {
        assertion = !lib.any hasPassword (texts cfg.settings);
        message = "services.tenon: an address has a password in it, and would be in the store, where everybody can read it. Give the whole address as a file: services.tenon.secrets.databaseUrlFile, or redisUrlFile.";
      }
    ];
  };
}
