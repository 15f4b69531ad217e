#!/bin/bash
# Installs tun_tap, TUN and TAP network interfaces, on Haiku for x86_64.
#
# Everything goes under /boot/system/non-packaged and is written down there, so that uninstall.sh can undo it all.

set -eu

usage() {
	cat <<-END
	usage: install.sh [--block-stock] [--root DIR]
	  --block-stock  also keep Haiku's own "tunnel" add-on from being used (see below)
	  --root DIR     install below DIR instead of / (also: TUN_TAP_ROOT=DIR)
	END
}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

root=${TUN_TAP_ROOT:-}
block_stock=no
while [ $# -gt 0 ]; do
	case $1 in
		--root) [ $# -ge 2 ] || fail "--root needs a directory."; root=$2; shift ;;
		--block-stock) block_stock=yes ;;
		--help | -h) usage; exit 0 ;;
		*) usage >&2; fail "\"$1\" is not understood." ;;
	esac
	shift
done
root=${root%/}

here=$(cd "$(dirname "$0")" && pwd)
system=/boot/system
base=$system/non-packaged
data=$base/data/tun_tap
addon=$base/add-ons/kernel/network/devices/tun_tap
link=$base/add-ons/kernel/drivers/dev/tun_tap
link_target=../../network/devices/tun_tap
header=$base/develop/headers/tun_tap.h
settings=/boot/home/config/settings/kernel/drivers/tun_tap
packages=$system/settings/packages
record=$root$data/installed

# Nothing is changed before everything has been looked at.

for file in tun_tap tun_tap.settings uninstall.sh; do
	[ -f "$here/$file" ] || fail "$file is missing beside this script; unpack the whole archive."
done
if [ -z "$root" ] && [ "$(uname -s)" != Haiku ]; then
	fail "this is $(uname -s), not Haiku."
fi
[ -z "$root" ] || [ -d "$root" ] || fail "there is no directory $root."
architecture=$(getarch -p 2>/dev/null || uname -m)
[ "$architecture" = x86_64 ] ||
	fail "this system is for $architecture; tun_tap is for x86_64 only."
for place in "$system" /boot/home/config; do
	[ ! -e "$root$place/add-ons/kernel/network/devices/tun_tap" ] ||
		fail "tun_tap is installed as a package, and with both no packet passes; run \"pkgman uninstall tun_tap\" first."
done
if [ -e "$root$link" ] || [ -L "$root$link" ]; then
	[ "$(readlink "$root$link" || true)" = "$link_target" ] ||
		fail "$link is there already and is not from this script; move it away first."
fi
if [ -e "$root$addon" ] && [ ! -e "$record" ]; then
	fail "$addon is there already and is not from this script; move it away first."
fi

# An older installation goes first. Its settings stay if they were changed, and stay ours to remove.
settings_are_ours=no
if [ -e "$record" ]; then
	! grep -q '^settings ' "$record" || settings_are_ours=yes
	say "Removing what was installed before ..."
	TUN_TAP_ROOT=$root bash "$here/uninstall.sh" --quiet ||
		fail "the older installation could not be removed."
fi

undo() {
	printf 'install.sh: something failed (see above); everything is undone.\n' >&2
	if [ -e "$record" ]; then
		TUN_TAP_ROOT=$root bash "$here/uninstall.sh" --quiet || true
	else
		for directory in $new_directories; do undone="$directory ${undone:-}"; done
		for directory in ${undone:-}; do rmdir "$root$directory" || true; done
	fi
}
new_directories=
trap undo EXIT

# Makes a directory and those above it, and writes down which are new.
make_directory() {
	[ -d "$root$1" ] && return
	make_directory "$(dirname "$1")"
	mkdir "$root$1"
	if [ -e "$record" ]; then
		note directory "$1"
	else
		new_directories="$new_directories $1"
	fi
}
note() { printf '%s %s\n' "$1" "$2" >> "$record"; }

# Puts a file in place in one step, so that nothing half-written can ever be loaded.
place() { # FILE PATH MODE
	make_directory "$(dirname "$2")"
	note file "$2"
	cp "$here/$1" "$root$2.new"
	chmod "$3" "$root$2.new"
	mv -f "$root$2.new" "$root$2"
}

make_directory "$data"
: > "$record"
for directory in $new_directories; do note directory "$directory"; done
place uninstall.sh "$data/uninstall.sh" 755
place tun_tap.settings "$data/tun_tap.settings" 644
place tun_tap "$addon" 755
make_directory "$(dirname "$link")"
note file "$link"
ln -sf "$link_target" "$root$link"
[ ! -f "$here/tun_tap.h" ] || place tun_tap.h "$header" 644
if [ -e "$root$settings" ]; then
	say "Your settings in $settings are kept."
	[ "$settings_are_ours" = no ] || note settings "$settings"
else
	make_directory "$(dirname "$settings")"
	note settings "$settings"
	cp "$here/tun_tap.settings" "$root$settings"
fi

blocked=no
if [ "$block_stock" = yes ]; then
	if [ -e "$root$packages" ] && grep -q '^[[:space:]]*Package[[:space:]]\{1,\}haiku\([[:space:]{]\|$\)' "$root$packages"; then
		say "$packages has a section for the package haiku already; add the line below to it by hand."
	else
		make_directory "$(dirname "$packages")"
		note block "$packages"
		# A last line without an end would swallow the first of ours.
		[ -z "$(tail -c 1 "$root$packages" 2>/dev/null)" ] || printf '\n' >> "$root$packages"
		{
			printf '# tun_tap: begin\n'
			printf 'Package haiku {\n\tBlockedEntries {\n\t\tadd-ons/kernel/network/devices/tunnel\n\t}\n}\n'
			printf '# tun_tap: end\n'
		} >> "$root$packages"
		blocked=yes
	fi
fi

trap - EXIT
say "tun_tap is installed."
if [ "$blocked" = yes ]; then
	say "Haiku's own \"tunnel\" add-on will not be used after the next start."
elif [ -e "$root$system/add-ons/kernel/network/devices/tunnel" ]; then
	cat <<-END

	Haiku comes with an add-on of its own for tun/0 and tap/0, "tunnel". To keep it out of the way, put this
	into $packages (or run install.sh --block-stock):

	    Package haiku {
	        BlockedEntries {
	            add-ons/kernel/network/devices/tunnel
	        }
	    }
	END
fi
cat <<END

Restart, then try:  ls /dev/tun /dev/tap
To remove it again: bash $data/uninstall.sh
END
