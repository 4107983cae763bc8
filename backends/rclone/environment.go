package rclone

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/accounting"
	"github.com/rclone/rclone/fs/config/configmap"
	"github.com/rclone/rclone/fs/config/configstruct"
)

// globalOptions takes over rclone's settings from RCLONE_* variables, those of the
// network; others would harm (RCLONE_DRY_RUN stores nothing and says it did), or
// are set for each store. A value that rclone does not understand is an error even
// where it is not used.
func globalOptions(log *slog.Logger) error {
	used := configmap.Simple{}
	var unused []string
	for block, options := range fs.OptionsRegistry {
		for i := range options.Options {
			option := options.Options[i].Copy()
			name := fs.OptionToEnv(option.Name)
			value, set := os.LookupEnv(name)
			if !set {
				continue
			}
			if err := option.Set(value); err != nil {
				return fmt.Errorf("environment variable %s: %w", name, err)
			}
			if block == "main" && ofNetwork(option) {
				used.Set(option.Name, value)
			} else {
				unused = append(unused, name)
			}
		}
	}
	if slices.Sort(unused); len(unused) > 0 {
		log.Info("rclone: these variables have no effect here: " + strings.Join(unused, ", "))
	}
	ci := fs.GetConfig(context.Background())
	if err := configstruct.Set(used, ci); err != nil {
		return fmt.Errorf("environment variables %s: %w", keys(used), err)
	}
	ci.LogLevel = fs.LogLevelNotice // rclone has looked for -vv on our command line
	ci.AskPassword = false
	// rclone would shut down a remote behind an alias that it has not seen used for
	// five minutes, which may well be ours.
	ci.FsCacheExpireDuration = 0
	accounting.StartLimitTPS(context.Background())
	return nil
}

// ofNetwork picks what says how to reach a remote. bwlimit is ours: one limit for
// all kinds of store.
func ofNetwork(o *fs.Option) bool {
	return o.Groups == "Networking" && !strings.HasPrefix(o.Name, "bwlimit") || o.Name == "password_command"
}

func keys(m configmap.Simple) string {
	var names []string
	for name := range m {
		names = append(names, fs.OptionToEnv(name))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// settings is the context of all calls for one store, with rclone's settings in it.
func settings(connections int) context.Context {
	ctx, ci := fs.AddConfig(context.Background())
	ci.LogLevel = fs.LogLevelAlert // of a call: its error is returned, and may be retried
	ci.Transfers = connections
	ci.Checkers = connections
	ci.LowLevelRetries = 3 // the outer layer waits and tries again
	ci.BufferSize = 0      // a block is in memory already
	ci.MultiThreadStreams = 0
	ci.Inplace = true // the temporary name is ours, see put.go
	// So is the check of what was stored: rclone would delete an object that is not
	// as it was sent, which may be one that somebody else stored a moment later.
	ci.IgnoreSize, ci.IgnoreChecksum = true, true
	ci.UseServerModTime = true // a request for each object listed otherwise
	return ctx
}
