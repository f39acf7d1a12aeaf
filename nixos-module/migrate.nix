# The database is brought to this release before anything else starts; of several machines that do so, one at a time.
{ config, lib, ... }:
let
  inherit (lib) mkIf;
  cfg = config.services.tenon;
  unit = import ./unit.nix { inherit config lib; };
in
{
  config = mkIf cfg.enable {
    systemd.services.tenon-migrate = unit {
      role = "command";
      description = "Tenon database migrations";
      command = "migrate";
      reaches = [ "database" ];
      extra = {
        wantedBy = [ "tenon.target" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          Restart = "on-failure";
          # Whoever waits for a lock, or rewrites a large table, takes as long as it takes.
          TimeoutStartSec = "infinity";
        };
      };
    };
  };
}
