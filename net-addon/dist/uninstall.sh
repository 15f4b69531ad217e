#!/bin/bash
# Removes tun_tap from Haiku: everything that install.sh wrote down, and nothing else.

set -eu

usage() {
	cat <<-END
	usage: uninstall.sh [--purge] [--quiet] [--root DIR]
	  --purge     also remove settings that were changed since
	  --quiet     only say what went wrong
	  --root DIR  as given to install.sh (also: TUN_TAP_ROOT=DIR)
	END
}

quiet=no
say() { [ "$quiet" = yes ] || printf '%s\n' "$*"; }
fail() { printf 'uninstall.sh: %s\n' "$*" >&2; exit 1; }

root=${TUN_TAP_ROOT:-}
purge=no
while [ $# -gt 0 ]; do
	case $1 in
		--root) [ $# -ge 2 ] || fail "--root needs a directory."; root=$2; shift ;;
		--purge) purge=yes ;;
		--quiet) quiet=yes ;;
		--help | -h) usage; exit 0 ;;
		*) usage >&2; fail "\"$1\" is not understood." ;;
	esac
	shift
done
root=${root%/}

data=/boot/system/non-packaged/data/tun_tap
record=$root$data/installed
if [ -z "$root" ] && [ "$(uname -s)" != Haiku ]; then
	fail "this is $(uname -s), not Haiku."
fi
[ -f "$record" ] || fail "tun_tap is not installed here: there is no $record."

# The record is read before anything goes, last entry first: it is among what goes.
entries=
while IFS= read -r line; do
	entries="$line
$entries"
done < "$record"

# Settings are compared with the template, so they come before it.
while read -r kind path; do
	[ "$kind" = settings ] || continue
	[ -e "$root$path" ] || continue
	if [ "$purge" = yes ] || cmp -s "$root$path" "$root$data/tun_tap.settings"; then
		rm -f "$root$path"
	else
		say "$path was changed since and is kept; remove it yourself, or use --purge."
	fi
done <<END
$entries
END

rm -f "$record"
while read -r kind path; do
	case $kind in
		file)
			rm -f "$root$path" "$root$path.new"
			;;
		directory)
			# What others put into it keeps it.
			rmdir "$root$path" 2>/dev/null || true
			;;
		block)
			[ -f "$root$path" ] || continue
			sed '/^# tun_tap: begin$/,/^# tun_tap: end$/d' "$root$path" > "$root$path.new"
			if [ -s "$root$path.new" ]; then
				cat "$root$path.new" > "$root$path"
			else
				rm -f "$root$path"
			fi
			rm -f "$root$path.new"
			;;
	esac
done <<END
$entries
END

say "tun_tap is removed. Restart to unload it."
