package main

const description = `Encrypted, deduplicated backups that this machine itself cannot read.

  vaultik backup ~/Documents     back up; the first time this sets everything up
  vaultik snapshots              list the snapshots
  vaultik restore latest --target DIR

To read backups, put the secret key in VAULTIK_AGE_SECRET_KEY; nothing else takes it.`

// cli is the table of contents of the program. The first line of a help text is
// shown in the list of commands.
type cli struct {
	globals

	Init      initCmd      `cmd:"" help:"Set up this machine: keys, configuration, a new store."`
	Snapshots snapshotsCmd `cmd:"" help:"List the snapshots of a store."`
	Snapshot  snapshotCmd  `cmd:"" help:"Tag, pin or remove snapshots."`
	Forget    forgetCmd    `cmd:"" help:"Remove the snapshots that no rule keeps."`
	Backup    backupCmd    `cmd:"" help:"Save a snapshot of files and directories."`
	Index     indexCmd     `cmd:"" help:"Check, drop or rebuild the index of a host."`
	Ls        lsCmd        `cmd:"" help:"List the files of a snapshot."`
	Restore   restoreCmd   `cmd:"" help:"Restore files from a snapshot."`
	Verify    verifyCmd    `cmd:"" help:"Check that the store has what its snapshots need."`
	Drill     drillCmd     `cmd:"" help:"Try out whether a restore would work."`
	Repair    repairCmd    `cmd:"" help:"Put back what the store lacks or has damaged, from a mirror or by parity."`
	Prune     pruneCmd     `cmd:"" help:"Remove from the store what no snapshot needs."`
	StoreCmd  storeCmd     `cmd:"" name:"store" help:"Show, check or mirror the store."`
	Host      hostCmd      `cmd:"" help:"Add, list and revoke the machines that use a store."`
	Fleet     fleetCmd     `cmd:"" help:"Show how all machines of a store are doing."`
	Recipient recipientCmd `cmd:"" help:"Show, change or sign who can read the backups of this host."`
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

type storeCmd struct {
	Info       storeInfoCmd   `cmd:"" help:"Show whose store it is and what is in it."`
	Check      storeCheckCmd  `cmd:"" help:"Check whether a place can hold a store, and what it can do."`
	Copy       storeCopyCmd   `cmd:"" help:"Mirror a store to another place, or update a mirror."`
	RepairHead storeRepairCmd `cmd:"" name:"repair-head" help:"Write a damaged store.json or trust list anew, from the recovery kit."`

	AcceptRollback storeAcceptCmd `cmd:"" name:"accept-rollback" help:"Accept that a store was put back from an older copy."`
}
