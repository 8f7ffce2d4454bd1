"""Workers: who gets which shard, on processors of this machine or of a cluster, and the work itself."""
