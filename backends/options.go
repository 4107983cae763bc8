package backends

// S3Options are the settings of stores in S3, the section s3: of the
// configuration. A parameter of the URL of the same name wins.
type S3Options struct {
	Endpoint string // https://host[:port] or http://...; "" is AWS
	Region   string // "": us-east-1, or what the profile says
	Lookup   string // "auto", "path", "dns"; "": auto
	CAFile   string // PEM; trusted beside the system's; "": none

	Credentials S3Credentials

	StorageClass string // of new objects; "": the bucket's own
	LockMode     string // "governance" or "compliance": new objects are locked for LockDays; "": not locked
	LockDays     int
	Versions     string // "oldest": read the first version of each object; "": the current one
}

// S3Credentials says where the key of S3 comes from, never what it is.
type S3Credentials struct {
	// Source is "env", "file", "profile", "command", "iam", "anonymous", or "":
	// env where AWS_ACCESS_KEY_ID is set, else the default profile where the
	// credentials file exists, else iam.
	Source  string
	Path    string   // of file: two lines, key id and secret; of profile: the credentials file, "": ~/.aws/credentials
	Profile string   // "": $AWS_PROFILE, else default
	Command []string // prints the JSON of AWS's credential_process
}

// RcloneOptions are the settings of stores behind rclone, the section rclone: of
// the configuration.
type RcloneOptions struct {
	Config          string   // rclone.conf; "": where rclone has it
	PasswordCommand []string // prints the password of an encrypted rclone.conf; nil: $RCLONE_CONFIG_PASS
	VerifyUpload    string   // "hash": compare a hash where the remote has one for free; "size": only the size; "": hash
}
