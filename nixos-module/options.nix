# What an installation is: the program, its account, its directory, its name.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (import ./addresses.nix { inherit lib; }) domain;

  # Directories that the sandbox of a unit hides from it.
  hidden = lib.filter (directory: lib.any (place: lib.hasPrefix place "${toString directory}/") [ "/home/" "/root/" "/run/user/" "/tmp/" "/var/tmp/" ]) (
    [ cfg.stateDir ] ++ lib.optional (cfg.backup.enable && cfg.backup.s3 == null) cfg.backup.directory
  );
in
{
  options.services.tenon = {
    enable = lib.mkEnableOption "Tenon, a team workspace";

    package = mkOption {
      type = types.package;
      default = pkgs.tenon or (pkgs.callPackage ./package.nix { });
      defaultText = lib.literalExpression "pkgs.tenon or (pkgs.callPackage ./package.nix { })";
      description = "The program. By default that of an overlay, or else it is built with the packages of this system.";
    };

    user = mkOption {
      type = types.str;
      default = "tenon";
      description = "Account that everything runs as. It is made unless it is called differently.";
    };

    group = mkOption {
      type = types.str;
      default = "tenon";
      description = "Group of that account.";
    };

    stateDir = mkOption {
      type = types.path;
      default = "/var/lib/tenon";
      description = "Directory of what Tenon keeps itself: the signing key, and, unless they are elsewhere, files and mails.";
    };

    domain = mkOption {
      type = types.nullOr domain;
      default = null;
      example = "tenon.example.org";
      description = ''
        Name under which people find this installation, by HTTPS, through a proxy on this machine. Leave it unset when
        the proxy is elsewhere, and set `settings.public_url`.
      '';
    };
  };

  config = mkIf cfg.enable {
    users.users = mkIf (cfg.user == "tenon") {
      tenon = {
        isSystemUser = true;
        group = cfg.group;
        home = cfg.stateDir;
        description = "Tenon";
      };
    };
    users.groups = mkIf (cfg.group == "tenon") { tenon = { }; };

    assertions = [
      {
        assertion = hidden == [ ];
        message = "services.tenon: units have neither the homes of people nor the machine's temporary files, so ${lib.concatStringsSep " and " hidden} is not there for them: choose a directory below /var or /srv.";
      }
    ];

    systemd.targets.tenon = {
      description = "Tenon";
      documentation = [ "man:tenon(1)" ];
      wantedBy = [ "multi-user.target" ];
    };

    # Units have the directory from systemd where systemd can make it, which is below /var/lib.
    systemd.tmpfiles.rules = mkIf (!lib.hasPrefix "/var/lib/" cfg.stateDir) [
      "d ${cfg.stateDir} 0700 ${cfg.user} ${cfg.group} -"
    ];
  };
}
