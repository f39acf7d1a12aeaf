# What every machine of the tests has: an installation that mails to a sink of its own, and somebody who uses it.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkDefault;
in
{
  services.tenon = {
    enable = mkDefault true;
    domain = mkDefault "tenon.test";
    proxy.caddy.internalAuthority = mkDefault true;
    # People of the tests sign up without being invited.
    settings.auth.registration = mkDefault "open";
    mail.smtp = {
      host = mkDefault "127.0.0.1";
      port = 2525;
      tls = "none";
    };
  };

  # A real machine of NixOS' driver has 1 GiB of each by itself; Postgres, Redis and our processes want more.
  virtualisation.cores = 2;
  virtualisation.memorySize = 2048;
  virtualisation.diskSize = 4096;

  networking.hosts."127.0.0.1" = [ "tenon.test" ];

  environment.systemPackages = [
    pkgs.curl
    pkgs.python3
  ];
  environment.etc."tenon-test/client.py".text = builtins.readFile ./client.py;
  environment.etc."tenon-test/sink.py".text = builtins.readFile ./sink.py;

  systemd.services.sink = {
    description = "Mail server of the test";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      ExecStart = "${pkgs.python3}/bin/python3 /etc/tenon-test/sink.py ${if config.services.tenon.enable then "127.0.0.1" else "any"} 2525 /var/lib/sink";
      StateDirectory = "sink";
      Restart = "always";
    };
  };
}
