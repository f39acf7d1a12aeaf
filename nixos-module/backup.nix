# Backups: every night, and every week one is restored to see whether it can be.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkDefault mkIf mkMerge mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) backup;
  task = import ./task.nix { inherit config lib; };
  s3Options = import ./s3.nix { inherit lib; };

  local = backup.s3 == null;
  encrypted = backup.recipients != [ ];

in
{
  options.services.tenon.backup = {
    enable = mkOption {
      type = types.bool;
      default = cfg.instances > 0;
      defaultText = lib.literalExpression "instances > 0";
      description = "Whether this machine backs up the installation: database, files and generated keys. Of several machines one should.";
    };
    schedule = mkOption {
      type = types.str;
      default = "*-*-* 02:30:00";
      example = "*-*-* 00/6:00:00";
      description = "When backups are made, in systemd's words.";
    };
    directory = mkOption {
      type = types.path;
      default = "/var/backup/tenon";
      description = "Where backups go; best a disk that is not the database's, or use `backup.s3`.";
    };
    s3 = mkOption {
      default = null;
      example = lib.literalExpression ''
        {
          endpoint = "https://s3.example.org";
          bucket = "tenon-backups";
        }
      '';
      description = "The bucket for backups, with `secrets.backupS3AccessKeyIdFile` and `secrets.backupS3SecretAccessKeyFile`. Null keeps backups in `backup.directory`.";
      type = types.nullOr (types.submodule { options = s3Options; });
    };
    recipients = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
      description = "Public keys of age that backups are encrypted to. Empty, whoever can read the backups can read everything.";
    };
    keep = lib.mapAttrs
      (
        unit: default:
        mkOption {
          type = types.ints.unsigned;
          inherit default;
          description = "Of how many ${unit} a backup is kept.";
        }
      )
      {
        days = 7;
        weeks = 4;
        months = 12;
      };
    drill = {
      enable = mkOption {
        type = types.bool;
        default = backup.enable && (!encrypted || cfg.secrets.backupIdentityFile != null);
        defaultText = lib.literalExpression "backup.enable, if the backups can be opened here";
        description = "Whether the newest backup is restored regularly, into a database of its own that is thrown away. What is encrypted can be restored only with `secrets.backupIdentityFile`.";
      };
      schedule = mkOption {
        type = types.str;
        default = "Sun *-*-* 04:30:00";
        description = "When, in systemd's words.";
      };
    };
    postgresPackage = mkOption {
      type = types.nullOr types.package;
      default = if cfg.database.createLocally then config.services.postgresql.package else pkgs.postgresql;
      defaultText = lib.literalExpression "if database.createLocally then services.postgresql.package else pkgs.postgresql";
      description = "Postgres whose `pg_dump` makes the backups; of the server's major version. Null looks in the usual places of other systems.";
    };
  };

  config = mkIf (cfg.enable && backup.enable) {
    services.tenon.settings = {
      database.bin_dir = mkIf (backup.postgresPackage != null) (mkDefault "${backup.postgresPackage}/bin");
      backup = {
        recipients = mkDefault backup.recipients;
        keep = {
          daily = mkDefault backup.keep.days;
          weekly = mkDefault backup.keep.weeks;
          monthly = mkDefault backup.keep.months;
        };
        target =
          if backup.s3 == null then
            {
              backend = mkDefault "filesystem";
              directory = mkDefault backup.directory;
            }
          else
            {
              backend = mkDefault "s3";
              endpoint = mkDefault backup.s3.endpoint;
              bucket = mkDefault backup.s3.bucket;
              region = mkDefault backup.s3.region;
              path_style = mkDefault backup.s3.pathStyle;
              prefix = mkDefault backup.s3.prefix;
            };
      };
    };

    systemd.tmpfiles.rules = mkIf (local && !backup.pointInTime.enable) [ "d ${backup.directory} 0700 ${cfg.user} ${cfg.group} -" ];

    systemd.services = mkMerge [
      {
        tenon-backup = task.service {
          description = "Tenon backup";
          command = "backup create --wait 6h";
        };
      }
      (mkIf backup.drill.enable {
        tenon-restore-drill = task.service {
          description = "Tenon restore drill";
          command = "backup drill";
        };
      })
    ];
    systemd.timers = mkMerge [
      { tenon-backup = task.timer "Tenon backups" backup.schedule; }
      (mkIf backup.drill.enable { tenon-restore-drill = task.timer "Tenon restore drills" backup.drill.schedule; })
    ];

    assertions = [
      {
        assertion = lib.all (key: lib.hasPrefix "age1" key) backup.recipients;
        message = "services.tenon.backup.recipients: a public key of age begins with age1.";
      }
      {
        assertion = cfg.secrets.backupIdentityFile != null -> encrypted;
        message = "services.tenon.secrets.backupIdentityFile opens encrypted backups, but services.tenon.backup.recipients is empty: they are not encrypted.";
      }
      {
        assertion = backup.drill.enable && encrypted -> cfg.secrets.backupIdentityFile != null;
        message = "services.tenon.backup.drill: encrypted backups cannot be opened here: set services.tenon.secrets.backupIdentityFile, or disable the drill.";
      }
      {
        assertion = (cfg.secrets.backupS3AccessKeyIdFile == null) == (cfg.secrets.backupS3SecretAccessKeyFile == null);
        message = "services.tenon.secrets: backupS3AccessKeyIdFile and backupS3SecretAccessKeyFile belong together; one of them is missing.";
      }
      {
        assertion = cfg.secrets.backupS3AccessKeyIdFile != null -> backup.s3 != null;
        message = "services.tenon.secrets: there are keys for S3, but backups do not go there: set services.tenon.backup.s3.";
      }
    ];
  };
}
