# SPDX-License-Identifier: MIT
# Debian's stable release with all that Faultline needs, for machines that have other packages: docs/machines.md.
FROM debian:stable AS develop
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	make git ca-certificates \
	gcc libc6-dev binutils nasm python3 musl-tools \
	grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools \
	patch qemu-system-x86 ovmf gdb python3-unicorn busybox-static && \
	rm -rf /var/lib/apt/lists/*
WORKDIR /faultline
CMD ["bash"]
