package main

const description = `Encrypted, deduplicated backups that this machine itself cannot read.

  vaultik backup ~/Documents     back up; the first time this sets everything up
  vaultik snapshots              what there is
  vaultik restore latest --target DIR

VAULTIK_AGE_SECRET_KEY holds the secret key where backups are read; nothing else does.`

// cli is the table of contents of the program. The first line of a help text is
// shown in the list of commands.
type cli struct {
	Config      string  `help:"Configuration file (or $$VAULTIK_CONFIG)." placeholder:"FILE"`
	Store       *string `help:"Store to use instead of the configured one: a directory, s3://BUCKET/PREFIX or rclone://REMOTE/PATH." placeholder:"URL"`
	Owner       string  `help:"Fingerprint that the store's owner must have." placeholder:"SHA256:..."`
	BWLimit     *string `name:"bwlimit" help:"Bandwidth to stores, up or up:down, such as 2M, 512K:10M or off, or a timetable: '08:00,2M 18:00,off'." placeholder:"LIMIT"`
	Connections int     `help:"Transfers to and from the store at once, 1 to 64 (default: the configuration's, 4)." placeholder:"N"`
	JSON        bool    `name:"json" help:"Print one JSON object a line, a summary last."`
	Verbose     bool    `short:"v" help:"Say more." xor:"loudness"`
	Quiet       bool    `short:"q" help:"No progress, no remarks; warnings and errors only." xor:"loudness"`

	Init      initCmd      `cmd:"" help:"Set up this machine: keys, configuration, a new store."`
	Snapshots snapshotsCmd `cmd:"" help:"List the snapshots of a store."`
	Backup    backupCmd    `cmd:"" help:"Save a snapshot of files and directories."`
	Index     indexCmd     `cmd:"" help:"Make the index of a host anew."`
	Ls        lsCmd        `cmd:"" help:"List the files of a snapshot."`
	Restore   restoreCmd   `cmd:"" help:"Bring files of a snapshot back."`
	Verify    verifyCmd    `cmd:"" help:"Check that the store has what its snapshots need."`
	StoreCmd  storeCmd     `cmd:"" name:"store" help:"Look at, try out or mirror the place where backups are kept."`
	Keygen    keygenCmd    `cmd:"" help:"Make a key pair: the secret that reads backups and its recipient."`
	Conf      configCmd    `cmd:"" name:"config" help:"Show or check the configuration, or where it is."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
	Help      helpCmd      `cmd:"" help:"Explain a command."`
}

type configCmd struct {
	Path  configPathCmd  `cmd:"" help:"Print where the configuration file is."`
	Show  configShowCmd  `cmd:"" help:"Print every setting with its value in force."`
	Check configCheckCmd `cmd:"" help:"Look whether a backup has all that it needs; change nothing."`
}
