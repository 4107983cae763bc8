module before.vaultik/rcloneenv

go 1.26.8
