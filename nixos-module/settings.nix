# The file of settings: /etc/tenon/tenon.toml, made from `settings` and checked while the system is built.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.services.tenon;
  format = pkgs.formats.toml { };
  checked = import ./checked-toml.nix { inherit config lib pkgs; };
in
{
  options.services.tenon = {
    settings = mkOption {
      default = { };
      example = lib.literalExpression ''
        {
          auth.registration = "invite";
          limits.attachment_bytes = "1GiB";
        }
      '';
      description = ''
        Everything that `docs/reference/configuration.md` lists, as it stands there. The other options of this module
        set what they are about; what is set here wins. No secrets: this file can be read by everybody on this machine.
      '';
      type = types.submodule {
        freeformType = format.type;
        options = {
          environment = mkOption {
            type = types.enum [ "production" "development" ];
            default = "production";
            description = "`production` refuses what is only good for trying things out.";
          };
          public_url = mkOption {
            type = types.nullOr types.str;
            default = if cfg.domain == null then null else "https://${cfg.domain}";
            defaultText = lib.literalExpression ''"https://''${domain}"'';
            example = "https://tenon.example.org";
            description = "Where people find this installation; links in mails begin with it.";
          };
          instance_name = mkOption {
            type = types.str;
            default = "Tenon";
            description = "What this installation calls itself in mails and on its pages.";
          };
        };
      };
    };

    environmentFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/etc/tenon/environment";
      description = ''
        File of variables such as `TENON__LOG__LEVEL=warn`, which win over `settings`. It is for what changes without
        building the system anew; secrets have options of their own, which keep them out of the environment.
      '';
    };
  };

  config = mkIf cfg.enable {
    services.tenon.settings = {
      data_dir = mkDefault cfg.stateDir;
      log.format = mkDefault "json";
    };

    environment.etc."tenon/tenon.toml".source = checked "tenon.toml" cfg.settings;

    assertions = [
      {
        assertion = cfg.settings.public_url != null;
        message = "services.tenon: nobody could find this installation: set services.tenon.domain, or services.tenon.settings.public_url when the proxy is elsewhere.";
      }
      {
        assertion = !lib.hasPrefix builtins.storeDir (toString cfg.environmentFile);
        message = "services.tenon.environmentFile would be in the store, where everybody can read it. Write the path of a file outside of it, as text.";
      }
      {
        assertion = !(cfg.settings ? metrics && cfg.settings.metrics ? listen);
        message = "services.tenon.settings.metrics.listen cannot be set: every process needs an address of its own, see services.tenon.monitoring.firstPort.";
      }
      {
        assertion = !(cfg.settings ? worker);
        message = "services.tenon.settings.worker cannot be set: use services.tenon.workers.<name>.{queues,concurrency}.";
      }
    ];
  };
}
