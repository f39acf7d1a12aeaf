# Debian without NixOS, by the guide: the commands of docs/admin/debian.md as they stand there, on the units beside it.
let
  bundle = ../docs/admin/debian;
  filesBelow =
    path:
    builtins.concatLists (
      builtins.attrValues (
        builtins.mapAttrs (
          name: kind: if kind == "directory" then filesBelow "${path}/${name}" else [ "${path}/${name}" ]
        ) (builtins.readDir (bundle + path))
      )
    );
in
{
  name = "debian";

  nodes.machine = {
    networking.hosts."127.0.0.1" = [ "tenon.test" ];
    environment.etc = builtins.listToAttrs (
      map (path: {
        name = "checkout/docs/admin/debian${path}";
        value.text = builtins.readFile (bundle + path);
      }) (filesBelow "")
    ) // {
      "tenon-test/client.py".text = builtins.readFile ./lib/client.py;
    };
  };

  testScript =
    builtins.readFile ./lib/prelude.py
    + ''
      GUIDE = ${builtins.toJSON (builtins.readFile ../docs/admin/debian.md)}
      COMMANDS = [line[2:] for line in GUIDE.splitlines() if line.startswith("# ") and line[2].islower()]


      def as_written(command):
          machine.succeed(f"cd /etc/checkout && export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin && {command}")


      start_all()
      machine.wait_for_unit("multi-user.target")

      with subtest("what apt would have done, and cargo"):
          machine.succeed("pg_createcluster 15 main && systemctl enable --now postgresql@15-main.service postgresql.service")
          machine.succeed("install -D /nix/store/*-tenon/bin/tenon /etc/checkout/target/release/tenon")

      with subtest("the guide, line by line"):
          assert len(COMMANDS) > 12, COMMANDS
          for command in COMMANDS:
              if command.startswith("apt install"):
                  continue
              if command.startswith("tenon config check"):
                  machine.succeed("sed -i s/tenon.example.org/tenon.test/ /etc/tenon/tenon.toml /etc/caddy/Caddyfile")
                  # For a name that no public authority knows.
                  machine.succeed("sed -i 's/^tenon.test {/&\\n\\ttls internal/' /etc/caddy/Caddyfile")
              as_written(command)

      with subtest("everything runs, as the units of NixOS do"):
          ready(machine)
          for unit in ["tenon", "tenon-worker-default", "tenon-scheduler"]:
              assert machine.get_unit_property(f"{unit}.service", "User") == "tenon"
              machine.succeed(f"systemd-analyze security --threshold=13 --no-pager {unit}.service")
          machine.succeed("systemctl is-enabled tenon.service tenon.socket tenon-scheduler.service")

      with subtest("somebody is made, and signs in through Caddy"):
          as_written("echo 'correct horse battery' | tenon user create --admin --name Ada ada@example.org --password-stdin")
          machine.succeed(
              "curl -fsSk https://tenon.test/api/v1/auth/sign-in -H 'content-type: application/json' "
              '-d \'{"login":"ada@example.org","password":"correct horse battery"}\' | grep -q access_token'
          )
    '';
}
