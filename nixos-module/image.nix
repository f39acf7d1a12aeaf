# The program as an OCI image: `tenon serve`, `worker`, `scheduler` and `migrate` by argument, configured by the environment.
{
  dockerTools,
  cacert,
  lib,
  tenon,
}:
dockerTools.buildLayeredImage {
  name = "tenon";
  tag = tenon.version;
  contents = [
    tenon
    cacert
    dockerTools.fakeNss
  ];
  extraCommands = ''
    mkdir -p data tmp
    chmod 1777 data tmp
  '';
  config = {
    Entrypoint = [ (lib.getExe tenon) ];
    Cmd = [ "serve" ];
    Env = [
      "TENON__DATA_DIR=/data"
      "TENON__ENVIRONMENT=production"
      "TENON__SERVER__LISTEN=0.0.0.0:8080"
    ];
    ExposedPorts."8080/tcp" = { };
    User = "65534:65534";
    Volumes."/data" = { };
    WorkingDir = "/data";
  };
}
