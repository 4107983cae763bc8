package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// expand replaces a leading ~ and the variables $NAME and ${NAME}; $$ is one $.
// A variable that is not set is an error: an empty one would turn $DATA/photos
// into /photos.
func expand(s string) (string, error) {
	var missing error
	out := os.Expand(s, func(name string) string {
		switch v, ok := os.LookupEnv(name); {
		case name == "$":
			return "$"
		case name == "" || strings.ContainsAny(name, "*#@!?-") || name[0] >= '0' && name[0] <= '9':
			missing = fmt.Errorf("expand %q: a $ must begin a variable's name; write $$ for a literal $", s)
			return ""
		case !ok:
			missing = fmt.Errorf("expand %q: variable %s is not set", s, name)
			return ""
		default:
			return v
		}
	})
	if missing != nil {
		return "", missing
	}
	if strings.HasPrefix(s, "~") { // only one written in the file, not one from a variable
		return expandHome(out)
	}
	return out, nil
}

// ExpandHome replaces a leading "~" or "~/" of a path or pattern that no shell has seen, as
// in --target=~/x. The path of a directory that is called ~ is ./~.
func ExpandHome(s string) (string, error) {
	rest, negated := strings.CutPrefix(s, "!")
	if rest != "~" && !strings.HasPrefix(rest, "~/") {
		return s, nil
	}
	home, err := homeDir()
	if err != nil {
		return "", fmt.Errorf("expand %q: %w", s, err)
	}
	if negated {
		home = "!" + home
	}
	return home + rest[1:], nil
}

// expandHome replaces a leading "~" or "~/".
func expandHome(s string) (string, error) {
	if s != "~" && !strings.HasPrefix(s, "~/") {
		if strings.HasPrefix(s, "~") {
			return "", fmt.Errorf("expand %q: only ~ and ~/ are supported, not another user's home", s)
		}
		return s, nil
	}
	home, err := homeDir()
	if err != nil {
		return "", fmt.Errorf("expand %q: %w", s, err)
	}
	return filepath.Join(home, s[1:]), nil
}
