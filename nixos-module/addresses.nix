# Addresses: what an option takes for one, in words, and how one is written with a port.
{ lib }:
let
  inherit (lib) types;

  ipv4 = "[0-9]{1,3}(\\.[0-9]{1,3}){3}";
  ipv6 = "[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*";
  name = "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?";
in
rec {
  # `strMatching`, which says what is wanted rather than how that is recognised.
  matching = pattern: description: types.strMatching pattern // { inherit description; };

  ip = matching "${ipv4}|${ipv6}|\\[${ipv6}]" "IP address such as 127.0.0.1 or ::1, and no name";
  domain = matching name "name such as tenon.example.org, without https:// before it";
  host = matching "${name}|${ipv6}|/[^?#%[:space:]]*" "name, IP address, or directory of a unix socket";

  # An address of IPv6 may stand in brackets, as it does before a port.
  bare = address: lib.removePrefix "[" (lib.removeSuffix "]" address);
  inUrl = address: if lib.hasInfix ":" (bare address) then "[${bare address}]" else address;
  withPort = address: port: "${inUrl address}:${toString port}";

  isLoopback = address: lib.hasPrefix "127." address || lib.elem (bare address) [ "::1" "localhost" ];
  isSocket = address: lib.hasPrefix "/" (toString address);
}
