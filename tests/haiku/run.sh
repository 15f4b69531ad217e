#!/bin/sh
# Checks the installed tun_tap driver on this Haiku and writes a report to attach to a bug.
#
#   sh run.sh [--program FILE] [--report FILE] [words of check ...]
#
# Compiles check with gcc and make, or takes the program of --program. The report goes to tun_tap-report.txt in the
# current folder unless told otherwise. Exit status: 0 if every check is "ok", 1 if one is not, 2 if none could be made.

report=$PWD/tun_tap-report.txt
program=
while [ $# -gt 0 ]; do
	case $1 in
		--program) program=$2; shift 2 || exit 2 ;;
		--report) report=$2; shift 2 || exit 2 ;;
		*) break ;;
	esac
done

give_up() {
	echo "run.sh: $1" >&2
	exit 2
}

has() {
	command -v "$1" >/dev/null 2>&1
}

case $0 in
	*/*) cd "${0%/*}" || give_up "there is no folder ${0%/*}" ;;
esac
[ -d /dev/tun ] || give_up "there is no /dev/tun: the driver is not loaded. Install it, restart, and look into the system log for tun_tap."

build=
clean_up() {
	[ -z "$build" ] || rm -rf "$build"
}
trap clean_up EXIT
trap 'exit 2' HUP INT TERM
if [ -z "$program" ]; then
	has gcc && has make || give_up "gcc and make are needed: pkgman install gcc haiku_devel make"
	build=$(mktemp -d) || give_up "no temporary folder could be made"
	make OUT="$build" "$build/check" >"$build/log" 2>&1 || { cat "$build/log" >&2; give_up "check does not compile; its messages are above"; }
	program=$build/check
fi

# Prints a command and what it prints.
show() {
	if has "$1"; then
		echo "\$ $*"
		"$@" 2>&1
	fi
}

# What there is of the driver, and beside it.
describe() {
	echo "tun_tap report"
	show date -u
	show uname -a
	for folder in /boot/system /boot/system/non-packaged /boot/home/config /boot/home/config/non-packaged; do
		for name in tun_tap tunnel; do
			file=$folder/add-ons/kernel/network/devices/$name
			if [ -e "$file" ]; then
				show ls -lL "$file"
				show sha256sum "$file"
			fi
		done
	done
	show ls /dev/tun /dev/tap
	settings=/boot/home/config/settings/kernel/drivers/tun_tap
	if [ -r "$settings" ]; then
		echo "lines of $settings that are in use:"
		while read -r line; do
			case $line in ''|'#'*) ;; *) echo "	$line" ;; esac
		done <"$settings"
	fi
	show ifconfig
}

describe >"$report" || give_up "$report cannot be written"
{
	"$program" "$@" 2>&1
	echo "exit status $?"
} | tee -a "$report"
status=$(tail -n 1 "$report")
log=/var/log/syslog
if [ -r $log ]; then
	{
		echo "the last lines of $log that name tun or tap:"
		grep -a -w -e tun_tap -e tun -e tap $log | tail -n 100
	} >>"$report"
fi
echo "The report is in $report"
exit "${status##* }"
