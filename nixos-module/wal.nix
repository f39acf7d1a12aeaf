# Restoring to any moment: base backups, and the write-ahead log of the local Postgres, archived where backups go.
#
# Postgres itself runs `tenon wal push`, so that it keeps what was not stored and its own figures tell when that fails. It
# does so as postgres, with a file of settings that says where backups go and nothing else.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkDefault mkIf mkMerge mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) backup;
  inherit (backup) pointInTime;
  enabled = cfg.enable && backup.enable && pointInTime.enable;
  local = backup.s3 == null;
  task = import ./task.nix { inherit config lib; };
  checked = import ./checked-toml.nix { inherit config lib pkgs; };

  # Where the log goes, two accounts write: ours removes what is kept no longer.
  shared = map (directory: "d ${backup.directory}${directory} 2770 ${cfg.user} ${cfg.group} -") [
    ""
    "/incoming"
    "/blobs"
    "/blobs/wal"
  ];
in
{
  options.services.tenon.backup.pointInTime = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether any moment of the last days can be restored, of which at most five minutes are lost. Takes a local Postgres, and room for a copy of the whole cluster and of all that is written to it.";
    };
    days = mkOption {
      type = types.ints.positive;
      default = 14;
      description = "How many days one can go back.";
    };
    schedule = mkOption {
      type = types.str;
      default = "Sat *-*-* 03:30:00";
      description = "When base backups are made, in systemd's words.";
    };
    drillSchedule = mkOption {
      type = types.str;
      default = "Sun *-*-* 05:30:00";
      description = "When, where there are drills, the newest base backup and the log are recovered for trial, into a database of its own that is thrown away.";
    };
  };

  config = mkMerge [
    (mkIf enabled {
      services.tenon.settings = {
        backup.keep.point_in_time = mkDefault "${toString pointInTime.days}d";
        # The bytes of removed files are there for as long.
        retention.backup_window = mkIf (pointInTime.days > 35) (mkDefault "${toString pointInTime.days}d");
      };

      environment.etc."tenon/wal.toml".source = checked "tenon-wal.toml" {
        inherit (cfg.settings) backup;
        # A window that is shorter than what can be restored is refused.
        retention = lib.optionalAttrs (cfg.settings ? retention.backup_window) { inherit (cfg.settings.retention) backup_window; };
      };

      # A place that stays: were it the store's, each release of Tenon would restart the machine's Postgres.
      environment.etc."tenon/bin/tenon".source = lib.getExe cfg.package;

      services.postgresql = {
        settings = {
          archive_mode = "on";
          archive_timeout = mkDefault 300;
          archive_command = "umask 0007; exec /etc/tenon/bin/tenon --config /etc/tenon/wal.toml wal push %p";
        };
        authentication = "local replication ${cfg.database.user} peer\n";
      };
      users.users.postgres.extraGroups = mkIf local [ cfg.group ];
      systemd.tmpfiles.rules = mkIf local shared;

      systemd.services = mkMerge [
        {
          postgresql.serviceConfig = {
            ReadWritePaths = mkIf local [ "-${backup.directory}" ];
            LoadCredential = lib.filter (lib.hasPrefix "backup.") cfg.credentials;
          };
          tenon-base-backup = task.service {
            description = "Tenon base backup";
            command = "backup base --unless-younger 20h --wait 6h";
          };
        }
        (mkIf backup.drill.enable {
          tenon-log-drill = task.service {
            description = "Tenon recovery drill";
            command = "backup drill --to-latest";
          };
        })
      ];
      systemd.timers = mkMerge [
        {
          # The first one soon, for until then no moment can be restored. One that a start of the machine calls for is made only when
          # the last is not of today, and one of each day still is.
          tenon-base-backup = lib.recursiveUpdate (task.timer "Tenon base backups" pointInTime.schedule) {
            timerConfig.OnActiveSec = "15min";
          };
        }
        (mkIf backup.drill.enable { tenon-log-drill = task.timer "Tenon recovery drills" pointInTime.drillSchedule; })
      ];
    })
    (mkIf cfg.enable {
      assertions = [
        {
          assertion = pointInTime.enable -> cfg.database.createLocally;
          message = "services.tenon.backup.pointInTime: the log of a Postgres elsewhere is archived there: give that Postgres the archive_command of docs/admin, and disable this.";
        }
        {
          assertion = pointInTime.enable -> backup.enable;
          message = "services.tenon.backup.pointInTime needs services.tenon.backup.enable.";
        }
      ];
    })
  ];
}
