# A bucket, for files or for backups.
{ lib }:
let
  inherit (lib) mkOption types;
in
{
  endpoint = mkOption {
    type = types.str;
    example = "https://s3.eu-central-1.amazonaws.com";
    description = "Address of the store.";
  };
  bucket = mkOption {
    type = types.str;
    description = "Name of the bucket; it must exist.";
  };
  region = mkOption {
    type = types.str;
    default = "us-east-1";
    description = "Region of the bucket; many stores accept any.";
  };
  pathStyle = mkOption {
    type = types.bool;
    default = true;
    description = "`https://host/bucket/key` instead of `https://bucket.host/key`.";
  };
  prefix = mkOption {
    type = types.str;
    default = "";
    description = "Begins every key, for a bucket shared with others.";
  };
}
