package layout

import "strings"

// Holds reports whether a path is that of a directory in which there may be keys of this
// format: "h", "h/<host>/b" and so on.
func Holds(path string) bool {
	p := strings.Split(path, "/")
	var id [8]byte
	for i, name := range p {
		ok := false
		switch {
		case i == 0:
			ok = name+"/" == HostsPrefix || name+"/" == TrustPrefix && len(p) == 1 ||
				name+"/" == GCsPrefix && len(p) <= 2
		case i == 1:
			ok = parseHex("", name, id[:]) == nil
		case i == 2:
			ok = len(name) == 1 && strings.Contains("bkrlmpnx", name)
		case i == 3 && (p[2] == "b" || p[2] == "x"):
			ok = parseHex("", name, id[:1]) == nil
		case i == 3 && (p[2] == "k" || p[2] == "m"):
			ok = parseHex("", name, id[:]) == nil
		}
		if !ok {
			return false
		}
	}
	return true
}
