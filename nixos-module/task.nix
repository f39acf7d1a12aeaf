# A command that runs now and then, for as long as it takes, and gives way to whoever is waiting for an answer.
{ config, lib }:
let
  cfg = config.services.tenon;
  unit = import ./unit.nix { inherit config lib; };
in
{
  service =
    { description, command }:
    unit {
      role = "command";
      inherit description command;
      reaches = [ "database" "files" "backups" ];
      extra = {
        after = [ "tenon-migrate.service" ];
        # A switch lets one that runs finish.
        restartIfChanged = false;
        # A disk that is not there is waited for: what is written into its place would fill another.
        unitConfig.RequiresMountsFor = lib.optional (cfg.backup.s3 == null) cfg.backup.directory;
        serviceConfig = {
          Type = "oneshot";
          TimeoutStartSec = "infinity";
          Nice = 10;
          IOSchedulingClass = "idle";
          ReadWritePaths = lib.optional (cfg.backup.s3 == null) cfg.backup.directory;
        };
      };
    };

  timer = description: schedule: {
    inherit description;
    documentation = [ "man:tenon-backup(1)" ];
    # `partOf` stops a timer with `tenon.target`; this starts it again with that.
    wantedBy = [ "timers.target" "tenon.target" ];
    partOf = [ "tenon.target" ];
    timerConfig = {
      OnCalendar = schedule;
      # One that was missed is made up for.
      Persistent = true;
      RandomizedDelaySec = "10min";
    };
  };
}
