package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"vaultik/internal/atomicfile"
)

// Create writes a first configuration, mode 0600, into a directory of mode 0700.
// The caller has checked that none is there.
func Create(file, storageURL string, recipients []string) error {
	var b strings.Builder
	b.WriteString("# Configuration of Vaultik. Every setting and its value in force: vaultik config show\n\n")
	fmt.Fprintf(&b, "storage_url: %s\n", quoteYAML(storageURL))
	b.WriteString("\n# Who can read the backups. Recipients (age1...) only; the secret stays off this machine.\nage_recipients:\n")
	for _, r := range recipients {
		fmt.Fprintf(&b, "  - %s\n", r)
	}
	b.WriteString("\n# What `vaultik backup` without paths saves.\n" +
		"# snapshots:\n#   home:\n#     paths:\n#       - ~/Documents\n#     exclude:\n#       - \"*.tmp\"\n")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make directory of configuration: %w", err)
	}
	if err := atomicfile.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Settings lists every setting with its value in force, in the order of the
// documentation, ready for YAML or JSON.
func (c *Config) Settings(p Places) []Setting {
	sets := make([]Setting, 0, len(c.Sets))
	for _, s := range c.Sets {
		set := []Setting{{"paths", s.Paths}}
		if len(s.Exclude) > 0 {
			set = append(set, Setting{"exclude", s.Patterns()})
		}
		if len(s.ExcludeFiles) > 0 {
			set = append(set, Setting{"exclude_file", s.ExcludeFiles})
		}
		sets = append(sets, Setting{s.Name, set})
	}
	return []Setting{
		{"storage_url", c.StorageURL},
		{"age_recipients", c.Recipients.Strings()},
		{"snapshots", sets},
		{"compression_level", c.Compression},
		{"chunk_size", FormatSize(c.ChunkSize)},
		{"blob_size", FormatSize(c.BlobSize)},
		{"memory", FormatSize(c.Memory)},
		{"parallel", c.Parallel},
		{"index_path", p.IndexDir(c)},
		{"hostname", c.Hostname},
	}
}

// Setting is one key with a value: string, int, []string or, for the sets and in
// each of them, []Setting.
type Setting struct {
	Key   string
	Value any
}

// YAML writes the settings so that Load reads the same configuration back.
func YAML(settings []Setting) string {
	var b strings.Builder
	for _, s := range settings {
		switch v := s.Value.(type) {
		case string:
			if strings.HasSuffix(s.Key, "_size") || s.Key == "memory" {
				fmt.Fprintf(&b, "%s: %s\n", s.Key, v)
			} else {
				fmt.Fprintf(&b, "%s: %s\n", s.Key, quoteYAML(v))
			}
		case int:
			fmt.Fprintf(&b, "%s: %d\n", s.Key, v)
		case []string:
			fmt.Fprintf(&b, "%s:\n", s.Key)
			for _, item := range v {
				fmt.Fprintf(&b, "  - %s\n", quoteYAML(item))
			}
		case []Setting:
			if len(v) == 0 {
				fmt.Fprintf(&b, "%s: {}\n", s.Key)
				continue
			}
			fmt.Fprintf(&b, "%s:\n", s.Key)
			for _, set := range v {
				fmt.Fprintf(&b, "  %s:\n", jsonString(set.Key))
				for _, list := range set.Value.([]Setting) {
					fmt.Fprintf(&b, "    %s:\n", list.Key)
					for _, item := range list.Value.([]string) {
						fmt.Fprintf(&b, "      - %s\n", quoteYAML(item))
					}
				}
			}
		}
	}
	return b.String()
}

// quoteYAML writes a value so that neither YAML nor variable expansion changes it.
func quoteYAML(s string) string { return jsonString(strings.ReplaceAll(s, "$", "$$")) }

// jsonString is a JSON string, which is a YAML double-quoted one too.
func jsonString(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
