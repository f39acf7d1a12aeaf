# Redis, through which processes hear of each other's events and share their rate limits. It keeps nothing: what is lost
# with it is speed.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) redis;
  local = redis.enable && redis.createLocally;

  url = if local then "redis+unix://${config.services.redis.servers.tenon.unixSocket}" else redis.url;
  adapter = {
    backend = mkDefault "redis";
    url = mkIf (cfg.secrets.redisUrlFile == null && url != null) (mkDefault url);
  };
in
{
  options.services.tenon.redis = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to use Redis. Without it there can be only one API process, and what workers change reaches open pages seconds later.";
    };
    createLocally = mkOption {
      type = types.bool;
      default = redis.enable;
      defaultText = lib.literalExpression "redis.enable";
      description = "Whether to run a Redis on this machine for Tenon alone, reachable by its unix socket only.";
    };
    queue = mkOption {
      type = types.bool;
      default = false;
      description = "Whether jobs wait in Redis too, rather than in Postgres alone. It is for very many jobs; Postgres keeps each until it has ended.";
    };
    url = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "redis://10.0.0.7:6379/0";
      description = "Where a Redis elsewhere is; with a password in it, use `secrets.redisUrlFile` instead.";
    };
  };

  config = mkIf cfg.enable {
    services.tenon.settings = mkIf redis.enable {
      bus = adapter;
      cache = adapter;
      limiter = adapter;
      queue = mkIf redis.queue adapter;
    };

    services.redis.servers.tenon = mkIf local {
      enable = true;
      port = 0;
      save = [ ];
      settings = {
        maxmemory = mkDefault "384mb";
        # A full Redis forgets what it can, and never a job.
        maxmemory-policy = mkDefault (if redis.queue then "noeviction" else "allkeys-lru");
      };
    };

    assertions = [
      {
        assertion = redis.queue -> redis.enable;
        message = "services.tenon.redis: jobs shall wait in Redis, but services.tenon.redis.enable is off.";
      }
      {
        assertion = (cfg.settings.queue.backend or "postgres") != "memory";
        message = "services.tenon.settings.queue.backend: jobs in memory are gone with the process, and no worker sees them.";
      }
      {
        assertion = redis.createLocally -> redis.enable;
        message = "services.tenon.redis: createLocally is on, but enable is off.";
      }
      {
        assertion = redis.enable || redis.url == null && cfg.secrets.redisUrlFile == null;
        message = "services.tenon.redis: a Redis is configured, but services.tenon.redis.enable is off.";
      }
      {
        assertion = redis.createLocally -> redis.url == null && cfg.secrets.redisUrlFile == null;
        message = "services.tenon.redis: a Redis elsewhere is configured, but createLocally is on: set services.tenon.redis.createLocally = false.";
      }
      {
        assertion = redis.enable && !redis.createLocally -> redis.url != null || cfg.secrets.redisUrlFile != null;
        message = "services.tenon.redis: createLocally is off, but nothing says where Redis is: set services.tenon.redis.url or services.tenon.secrets.redisUrlFile, or set services.tenon.redis.enable = false.";
      }
    ];
  };
}
