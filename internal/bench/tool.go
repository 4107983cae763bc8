package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool is a program that is measured. All paths are below a directory of its own.
type Tool struct {
	Name    string
	Version string
	// commands of each step, run one after the other; only the last counts. A step
	// without commands is not measured. The parts of a pipeline run together.
	init, first, again, restore func(p paths) []pipeline
	env                         func(p paths) ([]string, error)
	store                       func(p paths) string // file or directory whose size counts
	check                       bool                 // compare what was restored with the corpus
}

// paths are where a tool finds and keeps things.
type paths struct {
	corpus string // read only
	work   string // home, caches and store, fresh in each round
	target string // where restore writes, fresh
}

func (p paths) at(name string) string { return filepath.Join(p.work, name) }

// pipeline is one or more commands, each reading what the one before writes.
type pipeline struct {
	dir      string
	commands [][]string
}

func one(args ...string) []pipeline { return []pipeline{{commands: [][]string{args}}} }

// Tools answers those of the names that are installed; vaultik is the path of the program.
func Tools(ctx context.Context, vaultik string, names []string) (tools []*Tool, missing []string, err error) {
	abs, err := filepath.Abs(vaultik)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		var t *Tool
		var version []string
		switch name {
		case "vaultik":
			t, version = vaultikTool(abs), []string{abs, "version"}
		case "restic":
			t, version = resticTool(), []string{"restic", "version"}
		case "borg":
			t, version = borgTool(), []string{"borg", "--version"}
		case "tar":
			t, version = tarTool(), []string{"age", "--version"}
		default:
			return nil, nil, fmt.Errorf("unknown tool %q: there are vaultik, restic, borg, tar", name)
		}
		out, err := exec.CommandContext(ctx, version[0], version[1:]...).Output()
		if errors.Is(err, exec.ErrNotFound) {
			missing = append(missing, name)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("ask %s for its version: %w", name, err)
		}
		t.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
		tools = append(tools, t)
	}
	return tools, missing, nil
}

func vaultikTool(bin string) *Tool {
	return &Tool{
		Name: "vaultik",
		init: func(p paths) []pipeline {
			return one(bin, "init", "--store", "file://"+p.at("store"), "--recovery-kit", p.at("kit"))
		},
		first:   func(p paths) []pipeline { return one(bin, "backup", "-q", p.corpus) },
		again:   func(p paths) []pipeline { return one(bin, "backup", "-q", p.corpus) },
		restore: func(p paths) []pipeline { return one(bin, "restore", "-q", "latest", "--target", p.target) },
		env: func(p paths) ([]string, error) {
			env := []string{"HOME=" + p.work, "XDG_CONFIG_HOME=" + p.at("config"), "XDG_STATE_HOME=" + p.at("state"), "XDG_DATA_HOME=" + p.at("data")}
			kit, err := os.ReadFile(p.at("kit"))
			if errors.Is(err, fs.ErrNotExist) {
				return env, nil // before init
			}
			if err != nil {
				return nil, err
			}
			for line := range strings.Lines(string(kit)) {
				if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
					env = append(env, "VAULTIK_AGE_SECRET_KEY="+strings.TrimSpace(line))
				}
			}
			return env, nil
		},
		store: func(p paths) string { return p.at("store") },
		check: true,
	}
}

func resticTool() *Tool {
	repo := func(p paths) []string { return []string{"restic", "-q", "-r", p.at("store")} }
	return &Tool{
		Name:    "restic",
		init:    func(p paths) []pipeline { return one(append(repo(p), "init")...) },
		first:   func(p paths) []pipeline { return one(append(repo(p), "backup", p.corpus)...) },
		again:   func(p paths) []pipeline { return one(append(repo(p), "backup", p.corpus)...) },
		restore: func(p paths) []pipeline { return one(append(repo(p), "restore", "latest", "--target", p.target)...) },
		env: func(p paths) ([]string, error) {
			return []string{"RESTIC_PASSWORD=bench", "RESTIC_CACHE_DIR=" + p.at("cache")}, nil
		},
		store: func(p paths) string { return p.at("store") },
	}
}

func borgTool() *Tool {
	create := func(archive string) func(p paths) []pipeline {
		return func(p paths) []pipeline {
			return one("borg", "create", "--compression", "zstd,3", p.at("store")+"::"+archive, p.corpus)
		}
	}
	return &Tool{
		Name:  "borg",
		init:  func(p paths) []pipeline { return one("borg", "init", "-e", "repokey-blake2", p.at("store")) },
		first: create("first"),
		again: create("again"),
		restore: func(p paths) []pipeline {
			return []pipeline{{dir: p.target, commands: [][]string{{"borg", "extract", p.at("store") + "::first"}}}}
		},
		env: func(p paths) ([]string, error) {
			return []string{"BORG_PASSPHRASE=bench", "BORG_BASE_DIR=" + p.at("base")}, nil
		},
		store: func(p paths) string { return p.at("store") },
	}
}

// tarTool is what can be had without any backup program: no deduplication, no
// second backup, no way to find one file.
func tarTool() *Tool {
	return &Tool{
		Name: "tar",
		init: func(p paths) []pipeline { return one("age-keygen", "-o", p.at("key")) },
		first: func(p paths) []pipeline {
			return []pipeline{{
				commands: [][]string{
					{"tar", "-C", p.corpus, "-cf", "-", "."},
					{"zstd", "-3", "-q", "-c"},
					{"age", "-e", "-i", p.at("key"), "-o", p.at("archive")},
				},
			}}
		},
		restore: func(p paths) []pipeline {
			return []pipeline{{
				commands: [][]string{
					{"age", "-d", "-i", p.at("key"), p.at("archive")},
					{"zstd", "-d", "-q", "-c"},
					{"tar", "-C", p.target, "-xf", "-"},
				},
			}}
		},
		store: func(p paths) string { return p.at("archive") },
	}
}
