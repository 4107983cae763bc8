package main

const description = `Encrypted, deduplicated backups that this machine itself cannot read.

  vaultik backup ~/Documents     back up; the first time this sets everything up
  vaultik snapshots              list the snapshots
  vaultik restore latest --target DIR

To read backups, put the secret key in VAULTIK_AGE_SECRET_KEY; nothing else takes it.`

// cli is the table of contents of the program. The first line of a help text is
// shown in the list of commands.
type cli struct {
	Config      string  `help:"Configuration file (or $$VAULTIK_CONFIG)." placeholder:"FILE"`
	Store       *string `help:"Store to use instead of the configured one: a directory, s3://BUCKET/PREFIX or rclone://REMOTE/PATH." placeholder:"URL"`
	Owner       string  `help:"Fingerprint that the store's owner must have." placeholder:"SHA256:..."`
	BWLimit     *string `name:"bwlimit" help:"Bandwidth to stores, up or up:down, such as 2M, 512K:10M or off; or a timetable: '08:00,2M 18:00,off'." placeholder:"LIMIT"`
	Connections int     `help:"Concurrent transfers to and from the store, 1 to 64 (default: as configured, or 4)." placeholder:"N"`
	JSON        bool    `name:"json" help:"Print JSON, one object per line; the last one is a summary."`
	Verbose     bool    `short:"v" help:"Print more." xor:"loudness"`
	Quiet       bool    `short:"q" help:"Print only warnings and errors: no progress, no notes." xor:"loudness"`

	Init      initCmd      `cmd:"" help:"Set up this machine: keys, configuration, a new store."`
	Snapshots snapshotsCmd `cmd:"" help:"List the snapshots of a store."`
	Backup    backupCmd    `cmd:"" help:"Save a snapshot of files and directories."`
	Index     indexCmd     `cmd:"" help:"Rebuild the index of a host."`
	Ls        lsCmd        `cmd:"" help:"List the files of a snapshot."`
	Restore   restoreCmd   `cmd:"" help:"Restore files from a snapshot."`
	Verify    verifyCmd    `cmd:"" help:"Check that the store has what its snapshots need."`
	StoreCmd  storeCmd     `cmd:"" name:"store" help:"Show, check or mirror the store."`
	Keygen    keygenCmd    `cmd:"" help:"Generate a key pair: the identity that reads backups, and its recipient."`
	Conf      configCmd    `cmd:"" name:"config" help:"Show, check or locate the configuration."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
	Help      helpCmd      `cmd:"" help:"Show help for a command."`
}

type configCmd struct {
	Path  configPathCmd  `cmd:"" help:"Print where the configuration file is."`
	Show  configShowCmd  `cmd:"" help:"Print every setting with its effective value."`
	Check configCheckCmd `cmd:"" help:"Check whether a backup would work; change nothing."`
}
