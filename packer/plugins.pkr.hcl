#modern-begin
packer {
  required_version = ">= 1.10.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.4, < 2.0.0"
    }
  }
}
#modern-end
