# A unit of Tenon: what all of them have in common, around it what `extra` says.
#
# `role` chooses the limits, `reaches` what of the network is open. Dependencies are wanted, never required: a Postgres that is stopped for a minute must not take
# Tenon down with it. What cannot start yet is started again until it can.
{ config, lib }:
let
  cfg = config.services.tenon;
  hardening = import ./hardening.nix;
  resources = import ./limits.nix { inherit lib; };
  network = import ./network.nix { inherit config lib; };
  topology = import ./topology.nix { inherit config lib; };

  database = lib.optional (topology.databaseHere && config.services.postgresql.enable) "postgresql.target";
  redis = lib.optional cfg.redis.createLocally "redis-tenon.service";
  online = lib.optional (!topology.databaseHere) "network-online.target";
in
{
  role,
  description,
  command,
  reaches,
  extra ? { },
}:
lib.mkMerge [
  {
    inherit description;
    documentation = [ "man:tenon-${lib.head (lib.splitString " " command)}(1)" ];
    after = [ "network.target" ] ++ online ++ database ++ redis;
    wants = online ++ database ++ redis;
    partOf = [ "tenon.target" ];
    restartTriggers = [ config.environment.etc."tenon/tenon.toml".source ];
    # A stopped API would take its socket with it; a restarted one leaves it, and connections wait in it.
    stopIfChanged = false;
    environment.TENON_CONFIG = "/etc/tenon/tenon.toml";
    unitConfig.StartLimitIntervalSec = 0;
    serviceConfig =
      # What an administrator says instead needs no force.
      lib.mapAttrs (_: lib.mkDefault) (hardening // network reaches)
      // resources cfg.resources.${role}
      // {
        ExecStart = "${lib.getExe cfg.package} ${command}";
        User = cfg.user;
        Group = cfg.group;
        SupplementaryGroups = lib.optional cfg.redis.createLocally config.services.redis.servers.tenon.group;
        LoadCredential = cfg.credentials;
        EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
        Slice = "system-tenon.slice";
        RestartSec = lib.mkDefault 2;
        WorkingDirectory = cfg.stateDir;
        # A connection is a file, and what it brings or fetches another.
        LimitNOFILE = lib.mkDefault 65536;
      }
      // (
        if lib.hasPrefix "/var/lib/" cfg.stateDir then
          {
            StateDirectory = lib.removePrefix "/var/lib/" cfg.stateDir;
            StateDirectoryMode = "0700";
          }
        else
          { ReadWritePaths = [ cfg.stateDir ]; }
      );
  }
  extra
]
