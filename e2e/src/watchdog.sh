# Runs "$@" and never outlives the process that started this script.
#
# stdin is a pipe whose other end only that process holds: it reads as ended once the process is gone, however it went.
# stdout gets two lines: the pid of the command, and its exit code when it has ended. The command's output goes to stderr,
# which is the log file. This script leads a process group of its own, so that Ctrl-C in a terminal does not reach it
# before the pipe does; what is left of the group ends with the command.
exec 3<&0 4>&1 1>&2 </dev/null
"$@" 3<&- 4>&- &
child=$!
echo "$child" >&4
( read -r _; kill -s KILL "$child" ) <&3 4>&- &
exec 3<&-
wait "$child"
echo "$?" >&4
kill -s KILL -- "-$$"
