# Files: a directory of this machine, or a bucket of an S3-compatible store.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg.storage) s3;
in
{
  options.services.tenon.storage.s3 = mkOption {
    default = null;
    example = lib.literalExpression ''
      {
        endpoint = "https://s3.eu-central-1.amazonaws.com";
        region = "eu-central-1";
        bucket = "tenon-files";
      }
    '';
    description = "The bucket for files, with `secrets.s3AccessKeyIdFile` and `secrets.s3SecretAccessKeyFile`. Null keeps files in `stateDir`.";
    type = types.nullOr (types.submodule { options = import ./s3.nix { inherit lib; }; });
  };

  config = mkIf cfg.enable {
    services.tenon.settings.storage =
      if s3 == null then
        { backend = mkDefault "filesystem"; }
      else
        {
          backend = mkDefault "s3";
          endpoint = mkDefault s3.endpoint;
          bucket = mkDefault s3.bucket;
          region = mkDefault s3.region;
          path_style = mkDefault s3.pathStyle;
          prefix = mkDefault s3.prefix;
        };

    assertions = [
      {
        assertion = (cfg.secrets.s3AccessKeyIdFile == null) == (cfg.secrets.s3SecretAccessKeyFile == null);
        message = "services.tenon.secrets: s3AccessKeyIdFile and s3SecretAccessKeyFile belong together; one of them is missing.";
      }
      {
        assertion = cfg.secrets.s3AccessKeyIdFile != null -> cfg.settings.storage.backend == "s3";
        message = "services.tenon.secrets: there are keys for S3, but files are not kept there: set services.tenon.storage.s3.";
      }
      {
        assertion = cfg.settings.storage.backend != "memory";
        message = "services.tenon.settings.storage.backend: files in memory are gone with the process, and no other process sees them.";
      }
    ];
  };
}
