# How the pipeline builds: the variables of packer/variables.pkr.hcl that pipeline.sh does not give.

# Through Session Manager: no port is opened. The profile's role has AmazonSSMManagedInstanceCore and nothing else.
instance_profile = "scanner-image-build"

# A pipeline inside of the VPC connects by SSH instead, from its own subnets.
# ssh_source_cidrs = ["10.0.0.0/24"]

# A private subnet with a NAT gateway. In the default VPC: none, and public_address = true.
subnet_id = "subnet-0123456789abcdef0"

# Left out, the account's key for EBS is used, and the image stays in its region and account.
# kms_key_id          = "alias/scanner-image"
# copy_to             = { us-west-2 = "alias/scanner-image" }
# share_with_accounts = ["444455556666"]
