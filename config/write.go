package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"vaultik/internal/atomicfile"
	"vaultik/internal/words"
)

// Create writes a first configuration, mode 0600, into a directory of mode 0700.
// stateDir is "" for the usual one. A machine without recipients does not back up. The caller
// has checked that none is there.
func Create(file, storageURL, stateDir string, recipients []string) error {
	var b strings.Builder
	b.WriteString("# Configuration of Vaultik. Every setting and its value in force: vaultik config show\n\n")
	fmt.Fprintf(&b, "storage_url: %s\n", quoteYAML(storageURL))
	if len(recipients) > 0 {
		b.WriteString("\n# Who can read the backups. Recipients (age1...) only; the secret stays off this machine.\nage_recipients:\n")
	}
	for _, r := range recipients {
		fmt.Fprintf(&b, "  - %s\n", r)
	}
	if stateDir != "" {
		fmt.Fprintf(&b, "\n# Where this host keeps what it has to remember.\n%s: %s\n", stateDirKey,
			quoteYAML(stateDir))
	}
	if len(recipients) > 0 {
		b.WriteString("\n# What `vaultik backup` without paths saves.\n" +
			"# snapshots:\n#   home:\n#     paths:\n#       - ~/Documents\n#     exclude:\n#       - \"*.tmp\"\n" +
			"\n# Which snapshots `vaultik forget` keeps.\n# retention:\n#   keep_daily: 7\n#   keep_weekly: 5\n" +
			"#   keep_monthly: 12\n")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make directory of configuration: %w", err)
	}
	if err := atomicfile.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Settings lists every setting with its effective value, in the order of the
// documentation, ready for YAML or JSON.
func (c *Config) Settings(p Places) []Setting {
	sets := make([]Setting, 0, len(c.Sets))
	for _, s := range c.Sets {
		sets = append(sets, Setting{s.Name, s.Settings()})
	}
	list := []Setting{{"storage_url", c.StorageURL}}
	if !c.Recipients.IsZero() {
		list = append(list, Setting{"age_recipients", c.Recipients.Strings()})
	}
	list = append(list, Setting{"snapshots", sets})
	if c.Retention != nil {
		list = append(list, Setting{retentionKey, policySettings(c.Retention)})
	}
	list = append(list, []Setting{
		{"compression_level", c.Compression},
		{"chunk_size", FormatSize(c.ChunkSize)},
		{"blob_size", FormatSize(c.BlobSize)},
		{"compact_budget", FormatSize(c.Compact)},
		{"parity", fmt.Sprintf("%d%%", c.Parity)},
		{"memory", FormatSize(c.Memory)},
	}...)
	list = append(list, c.storeSettings()...)
	list = append(list, Setting{indexPathKey, p.IndexDir(c)})
	if p.State != "" {
		list = append(list, Setting{stateDirKey, p.State})
	}
	return append(list, Setting{"hostname", c.Hostname})
}

// Setting is one key with a value: string, int, bool, []string or, for the sets and
// other groups of settings, []Setting.
type Setting struct {
	Key   string
	Value any
}

// YAML writes the settings so that Load reads the same configuration back.
func YAML(settings []Setting) string {
	var b strings.Builder
	writeYAML(&b, "", settings, false)
	return b.String()
}

// writeYAML writes one group; its keys are quoted if they are names by the user.
func writeYAML(b *strings.Builder, indent string, settings []Setting, names bool) {
	for _, s := range settings {
		key := s.Key
		if names {
			key = jsonString(key)
		}
		fmt.Fprintf(b, "%s%s:", indent, key)
		switch v := s.Value.(type) {
		case []string:
			b.WriteString("\n")
			for _, item := range v {
				fmt.Fprintf(b, "%s  - %s\n", indent, s.quote(item))
			}
		case []Setting:
			if len(v) == 0 {
				b.WriteString(" {}\n")
				continue
			}
			b.WriteString("\n")
			writeYAML(b, indent+"  ", v, s.Key == "snapshots" && indent == "")
		case string:
			fmt.Fprintf(b, " %s\n", s.quote(v))
		default:
			fmt.Fprintf(b, " %v\n", v) // a number, true or false
		}
	}
}

// quote writes a value of the setting so that Load reads the same one.
func (s Setting) quote(v string) string {
	switch s.Key {
	case "chunk_size", "blob_size", "compact_budget", "memory", "exclude_larger_than":
		return v // sizes
	case "storage_url", "paths", "exclude", "exclude_file", "iexclude", "iexclude_file", indexPathKey, stateDirKey, "ca_file", "path", "config":
		return quoteYAML(v)
	}
	return jsonString(v) // variables are not expanded there
}

// quoteYAML writes a value so that neither YAML nor variable expansion changes it.
func quoteYAML(s string) string { return jsonString(strings.ReplaceAll(s, "$", "$$")) }

// jsonString is a JSON string, which is a YAML double-quoted one too. YAML has no bytes that
// are not UTF-8 (they came from a variable): Load refuses the empty value that stands for
// them, instead of taking another path.
func jsonString(s string) string {
	if !utf8.ValidString(s) {
		return `"" # ` + words.Printable(s) + " is not UTF-8: name it by a variable"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
