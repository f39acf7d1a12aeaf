# The first administrator, declared: without one nobody could let others in.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) initialAdmin;
  inherit (import ./addresses.nix { inherit lib; }) matching;
  unit = import ./unit.nix { inherit config lib; };

  # A word of a command of systemd's: what would need an escape is no part of it.
  word = what: matching "[^\"'\\\\%$[:cntrl:]]+" "${what}, without quotes, backslashes, % or $";
  password = toString initialAdmin.passwordFile;
in
{
  options.services.tenon.initialAdmin = {
    email = mkOption {
      type = types.nullOr (matching "[^\"'\\\\%$@[:cntrl:][:space:]]+@[^\"'\\\\%$@[:cntrl:][:space:]]+" "email address");
      default = null;
      example = "ada@example.org";
      description = ''
        Email address of the first administrator, who is made when the installation has none. Nothing happens while there is one,
        so that whoever comes later is not undone by a switch.
      '';
    };
    name = mkOption {
      type = word "a person's name";
      default = "Administrator";
      example = "Ada Lovelace";
      description = "What the first administrator is called.";
    };
    passwordFile = mkOption {
      # As for other secrets: `types.path` would copy `./password` to the store.
      type = types.nullOr (types.either types.str types.path);
      default = null;
      example = "/run/secrets/tenon-initial-admin";
      description = "File outside the store whose first line is the first administrator's password. Null mails a link that lets the person choose one.";
    };
  };

  config = mkIf cfg.enable {
    systemd.services = mkIf (initialAdmin.email != null) {
      tenon-initial-admin = unit {
        role = "command";
        description = "First administrator of Tenon";
        command =
          "user create --admin --if-no-admin --name \"${initialAdmin.name}\""
          + lib.optionalString (initialAdmin.passwordFile != null) " --password-file %d/initial-admin-password"
          + " ${toString initialAdmin.email}";
        reaches = [ "database" "redis" "files" "mail" ];
        extra = {
          after = [ "tenon-migrate.service" ];
          wants = [ "tenon-migrate.service" ];
          wantedBy = [ "tenon.target" ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            Restart = "on-failure";
            RestartSec = 30;
            LoadCredential = lib.optional (initialAdmin.passwordFile != null) "initial-admin-password:${password}";
          };
        };
      };
    };

    assertions = [
      {
        assertion = initialAdmin.passwordFile != null -> initialAdmin.email != null;
        message = "services.tenon.initialAdmin.passwordFile is the password of services.tenon.initialAdmin.email, which is not set.";
      }
      {
        assertion =
          initialAdmin.passwordFile == null
          || !builtins.isPath initialAdmin.passwordFile && lib.hasPrefix "/" password && !lib.hasPrefix builtins.storeDir password;
        message = "services.tenon.initialAdmin.passwordFile would be in the store, where everybody can read it, or is no absolute path. Write the path of a file outside of the store, as text: \"/run/secrets/…\".";
      }
    ];
  };
}
