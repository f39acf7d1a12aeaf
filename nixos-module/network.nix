# What a unit must reach. Where all of that is on this machine, the network is closed to the unit.
{ config, lib }:
let
  cfg = config.services.tenon;
  inherit (import ./addresses.nix { inherit lib; }) isLoopback;
  topology = import ./topology.nix { inherit config lib; };

  isHere = {
    database = topology.databaseHere;
    redis = !cfg.redis.enable || cfg.redis.createLocally;
    files = cfg.settings.storage.backend != "s3";
    backups = !cfg.backup.enable || cfg.settings.backup.target.backend != "s3";
    mail = cfg.settings.mail.backend != "smtp" || isLoopback cfg.settings.mail.host;
    # Who asks, rather than who is asked.
    clients = cfg.listen.address == null || isLoopback cfg.listen.address;
    prometheus = isLoopback cfg.monitoring.address;
  };
in
reaches:
lib.optionalAttrs (lib.all (what: isHere.${what}) reaches) {
  IPAddressAllow = "localhost";
  IPAddressDeny = "any";
}
