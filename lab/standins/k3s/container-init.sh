#!/bin/sh
# The first process of a container: puts its file system together, then becomes the container's program.
# It sees the host's programs read-only, a few harmless files of /etc, and the pod's volumes; nothing else of the host.
# usage: container-init.sh ROOT MOUNTS PROGRAM [ARGUMENT...]
#   MOUNTS  as in container-shim.sh; a line "ro TAB / TAB /" makes the root itself read-only
set -eu
container_path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 mounts=$2
shift 2

mount --make-rprivate /
mount -t tmpfs -o size=256m,mode=755 container "$root"
cd "$root"
mkdir -p usr opt dev proc sys etc/lab root run tmp var/tmp var/lib home mnt srv .host
chmod 1777 tmp var/tmp
chmod 700 root
for entry in /bin /sbin /lib*; do
    cp -P "$entry" ".$entry"
done
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount --rbind /opt opt
mount --rbind /dev dev
mount --bind /sys sys
for entry in passwd group nsswitch.conf ssl ld.so.conf ld.so.conf.d ld.so.cache alternatives; do
    [ ! -e "/etc/$entry" ] || cp -a "/etc/$entry" etc/
done
mount --rbind /etc/lab etc/lab

tab=$(printf '\t')
read_only_root=
while IFS=$tab read -r mode source target; do
    if [ "$target" = / ]; then
        read_only_root=yes
        continue
    fi
    if [ -d "$source" ]; then
        mkdir -p ".$target"
    else
        mkdir -p ".${target%/*}"
        [ -e ".$target" ] || : > ".$target"
    fi
    mount --rbind "$source" ".$target"
    [ "$mode" != ro ] || mount -o remount,bind,ro ".$target"
done < "$mounts"

pivot_root . .host
mount -t proc proc /proc
[ -z "${HOSTNAME-}" ] || echo "$HOSTNAME" > /proc/sys/kernel/hostname
umount -l /.host
rmdir /.host
[ -z "$read_only_root" ] || mount -o remount,bind,ro /
cd /
PATH=$container_path
export PATH
exec "$@"
