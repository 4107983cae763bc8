package fidelity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool is one program, with its own home.
type Tool struct {
	Name, Version string
	// Commands as they are run, for the page; the names of directories shortened.
	Commands []string

	home, bin string
	env       []string
	save      func(ctx context.Context, t *Tool, src string) (string, error)
	restore   func(ctx context.Context, t *Tool, src, out string) (top, said string, err error)
	// What is in the archive, each file with all that is known of it on a line that
	// names its path; nil where nothing is saved that is not restored.
	list func(ctx context.Context, t *Tool, src string) (string, error)
}

// run runs a command and returns all that it says. That it fails is no error: it may
// do so since it could not save everything.
func (t *Tool) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.home, "LC_ALL=C.UTF-8"}, t.env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Sprintf("%s\n[exit %d]\n", out, exit.ExitCode()), nil
	}
	return string(out), err
}

// must is run for a command that has to succeed.
func (t *Tool) must(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := t.run(ctx, dir, args...)
	if err == nil && strings.Contains(out, "\n[exit ") {
		err = fmt.Errorf("%s: %s", filepath.Base(args[0]), out)
	}
	return out, err
}

// Tools answers those programs that are installed; vaultik is the path of the program.
func Tools(ctx context.Context, vaultik, work string) (tools []*Tool, missing []string, err error) {
	if vaultik, err = filepath.Abs(vaultik); err != nil {
		return nil, nil, err
	}
	for _, t := range []*Tool{vaultikTool(vaultik), resticTool(), borgTool(), kopiaTool()} {
		t.home = filepath.Join(work, t.Name)
		if err := os.MkdirAll(t.home, 0o700); err != nil {
			return nil, nil, err
		}
		version := "version"
		if t.Name == "borg" || t.Name == "kopia" {
			version = "--version"
		}
		out, err := t.run(ctx, t.home, t.bin, version)
		if errors.Is(err, exec.ErrNotFound) {
			missing = append(missing, t.Name)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("ask %s for its version: %w", t.Name, err)
		}
		t.Version, _, _ = strings.Cut(strings.TrimSpace(out), "\n")
		tools = append(tools, t)
	}
	return tools, missing, nil
}

func vaultikTool(bin string) *Tool {
	return &Tool{
		Name: "vaultik", bin: bin, Commands: []string{"vaultik backup TREE", "vaultik restore latest:TREE --target OUT"},
		save: func(ctx context.Context, t *Tool, src string) (string, error) {
			kit := filepath.Join(t.home, "kit.txt")
			if _, err := t.must(ctx, t.home, bin, "init", "--recovery-kit", kit); err != nil {
				return "", err
			}
			text, err := os.ReadFile(kit)
			if err != nil {
				return "", err
			}
			out, err := t.run(ctx, t.home, bin, "backup", src)
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
					t.env = append(t.env, "VAULTIK_AGE_SECRET_KEY="+strings.TrimSpace(line))
				}
			}
			return out, err
		},
		restore: func(ctx context.Context, t *Tool, src, out string) (string, string, error) {
			said, err := t.run(ctx, t.home, bin, "restore", "latest:"+src, "--target", out)
			return out, said, err
		},
		list: func(ctx context.Context, t *Tool, _ string) (string, error) {
			return t.must(ctx, t.home, bin, "ls", "--json", "latest")
		},
	}
}

func resticTool() *Tool {
	repo := func(t *Tool) string { return filepath.Join(t.home, "repository") }
	return &Tool{
		Name: "restic", bin: "restic", Commands: []string{"restic backup TREE", "restic restore latest --target OUT"},
		env: []string{"RESTIC_PASSWORD=fidelity"},
		save: func(ctx context.Context, t *Tool, src string) (string, error) {
			if _, err := t.must(ctx, t.home, "restic", "-r", repo(t), "init"); err != nil {
				return "", err
			}
			return t.run(ctx, t.home, "restic", "-r", repo(t), "backup", src)
		},
		restore: func(ctx context.Context, t *Tool, src, out string) (string, string, error) {
			said, err := t.run(ctx, t.home, "restic", "-r", repo(t), "restore", "latest", "--target", out)
			return filepath.Join(out, src), said, err
		},
		list: func(ctx context.Context, t *Tool, _ string) (string, error) {
			out, err := t.must(ctx, t.home, "restic", "-q", "-r", repo(t), "cat", "snapshot", "latest")
			if err != nil { // older ones want an id
				if out, err = t.must(ctx, t.home, "restic", "-q", "-r", repo(t), "snapshots", "--json"); err != nil {
					return "", err
				}
			}
			i := strings.Index(out, `"tree"`)
			if i < 0 {
				return "", errors.New("restic: a snapshot without a tree")
			}
			return t.resticTree(ctx, repo(t), strings.Split(out[i:], `"`)[3])
		},
	}
}

// resticTree prints a tree and all below it, a node a line.
func (t *Tool) resticTree(ctx context.Context, repo, id string) (string, error) {
	out, err := t.must(ctx, t.home, "restic", "-q", "-r", repo, "cat", "blob", id)
	if err != nil {
		return "", err
	}
	var tree struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(out), &tree); err != nil {
		return "", fmt.Errorf("restic: tree %s: %w", id, err)
	}
	var b strings.Builder
	for _, n := range tree.Nodes {
		var node struct {
			Name    string `json:"name"`
			Subtree string `json:"subtree"`
		}
		if err := json.Unmarshal(n, &node); err != nil {
			return "", err
		}
		below := ""
		if node.Subtree != "" {
			if below, err = t.resticTree(ctx, repo, node.Subtree); err != nil {
				return "", err
			}
		}
		b.WriteString("/" + node.Name + " " + string(n) + "\n")
		for line := range strings.Lines(below) {
			b.WriteString("/" + node.Name + line)
		}
	}
	return b.String(), nil
}

func borgTool() *Tool {
	repo := func(t *Tool) string { return filepath.Join(t.home, "repository") }
	return &Tool{
		Name: "borg", bin: "borg", Commands: []string{"borg create REPOSITORY::a TREE", "borg extract --sparse REPOSITORY::a"},
		env: []string{"BORG_PASSPHRASE=fidelity", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes"},
		save: func(ctx context.Context, t *Tool, src string) (string, error) {
			if _, err := t.must(ctx, t.home, "borg", "init", "-e", "repokey-blake2", repo(t)); err != nil {
				return "", err
			}
			return t.run(ctx, t.home, "borg", "create", "--show-rc", repo(t)+"::a", src)
		},
		restore: func(ctx context.Context, t *Tool, src, out string) (string, string, error) {
			if err := os.MkdirAll(out, 0o700); err != nil {
				return "", "", err
			}
			said, err := t.run(ctx, out, "borg", "extract", "--sparse", repo(t)+"::a")
			return filepath.Join(out, src), said, err
		},
		// It saves atime only when it is asked to, and birth times on other systems.
	}
}

func kopiaTool() *Tool {
	return &Tool{
		Name: "kopia", bin: "kopia", Commands: []string{"kopia snapshot create TREE", "kopia snapshot restore ID OUT"},
		env: []string{"KOPIA_PASSWORD=fidelity", "KOPIA_CHECK_FOR_UPDATES=false"},
		save: func(ctx context.Context, t *Tool, src string) (string, error) {
			if _, err := t.must(ctx, t.home, "kopia", "repository", "create", "filesystem", "--path", filepath.Join(t.home, "repository")); err != nil {
				return "", err
			}
			return t.run(ctx, t.home, "kopia", "snapshot", "create", src)
		},
		restore: func(ctx context.Context, t *Tool, src, out string) (string, string, error) {
			said, err := t.run(ctx, t.home, "kopia", "snapshot", "restore", src, out)
			return out, said, err
		},
		list: func(ctx context.Context, t *Tool, src string) (string, error) {
			return t.run(ctx, t.home, "kopia", "ls", "-lr", src)
		},
	}
}
