# Mail: through a relay, or, until there is one, into files.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkMerge mkOption types;
  cfg = config.services.tenon;
  inherit (cfg.mail) smtp;
in
{
  options.services.tenon.mail = {
    from = mkOption {
      type = types.nullOr types.str;
      default = if cfg.domain == null then null else "Tenon <tenon@${cfg.domain}>";
      defaultText = lib.literalExpression ''"Tenon <tenon@''${domain}>"'';
      description = "Whom mails are from.";
    };
    smtp = mkOption {
      default = null;
      example = lib.literalExpression ''
        {
          host = "mail.example.org";
          username = "tenon";
        }
      '';
      description = "The mail server that takes our mails, with `secrets.smtpPasswordFile`. Null puts mails as files into `mail` within `stateDir`.";
      type = types.nullOr (
        types.submodule {
          options = {
            host = mkOption {
              type = types.str;
              description = "The mail server's name, which its certificate must bear.";
            };
            port = mkOption {
              type = types.nullOr types.port;
              default = null;
              description = "Port of the mail server; null means 25, 587 or 465, as `tls` asks.";
            };
            tls = mkOption {
              type = types.enum [ "none" "starttls" "tls" ];
              default = "starttls";
              description = "How the connection is protected.";
            };
            username = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "Name to sign in with; null signs in nobody.";
            };
          };
        }
      );
    };
  };

  config = mkIf cfg.enable {
    services.tenon.settings.mail = mkMerge [
      (mkIf (cfg.mail.from != null) { from = mkDefault cfg.mail.from; })
      (mkIf (smtp == null) { backend = mkDefault "directory"; })
      (mkIf (smtp != null) (
        { backend = mkDefault "smtp"; }
        // lib.mapAttrs (_: mkDefault) (lib.filterAttrs (_: value: value != null) (if smtp == null then { } else smtp))
      ))
    ];

    warnings = lib.optional (cfg.settings.mail.backend == "directory") (
      "services.tenon: no mail leaves this machine; mails are files in ${cfg.stateDir}/mail. Set services.tenon.mail.smtp."
    );

    assertions = [
      {
        assertion = cfg.secrets.smtpPasswordFile != null -> smtp != null && smtp.username != null;
        message = "services.tenon.secrets.smtpPasswordFile is set, but nobody signs in: set services.tenon.mail.smtp.username.";
      }
    ];
  };
}
