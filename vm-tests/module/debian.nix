# The configuration behind docs/admin/debian: one machine with Postgres, Redis and Caddy of Debian's.
{
  services.tenon = {
    enable = true;
    domain = "tenon.example.org";
    # Debian has the programs of Postgres where Tenon looks by itself.
    backup.postgresPackage = null;
  };
  # Debian's redis-server@tenon and its account.
  services.redis.servers.tenon = {
    user = "redis";
    group = "redis";
    unixSocket = "/run/redis-tenon/redis-server.sock";
  };
}
