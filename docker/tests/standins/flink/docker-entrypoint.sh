#!/usr/bin/env bash
# Does what the official image's does for the roles that are used here, with Flink's own classes:
# settings of FLINK_PROPERTIES are set in config.yaml, and memory is dealt out as they say.
set -e
java_opts="--add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED"
settings=("-Djobmanager.rpc.address=${JOB_MANAGER_RPC_ADDRESS:-$(hostname -f)}" -Dblob.server.port=6124)
while IFS= read -r line; do
  line="$(tr -d '[:space:]' <<<"$line")"
  [[ -z "$line" ]] || settings+=("-D${line%%:*}=$(envsubst <<<"${line#*:}")")
done <<<"${FLINK_PROPERTIES:-}"
bash_java_utils() {
  java -Dlogback.configurationFile="$FLINK_HOME/conf/logback.xml" -cp "$FLINK_HOME/lib/*" \
    org.apache.flink.runtime.util.bash.BashJavaUtils "$@" | sed -n 's/^BASH_JAVA_UTILS_EXEC_RESULT://p'
}
config="$(bash_java_utils UPDATE_AND_GET_FLINK_CONFIGURATION --configDir "$FLINK_HOME/conf" "${settings[@]}")"
printf '%s\n' "$config" >"$FLINK_HOME/conf/config.yaml"
role="$1"
shift || true
case "$role" in
  jobmanager) main=org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint params=GET_JM_RESOURCE_PARAMS ;;
  standalone-job) main=org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint params=GET_JM_RESOURCE_PARAMS ;;
  taskmanager) main=org.apache.flink.runtime.taskexecutor.TaskManagerRunner params=GET_TM_RESOURCE_PARAMS ;;
  *) exec "$role" "$@" ;;
esac
mapfile -t resources < <(bash_java_utils "$params" --configDir "$FLINK_HOME/conf")
# shellcheck disable=SC2086
exec java ${resources[0]} $java_opts -Dlog.file="$FLINK_HOME/log/$role.log" -Dlogback.configurationFile="$FLINK_HOME/conf/logback.xml" \
  -cp "$FLINK_HOME/lib/*" "$main" --configDir "$FLINK_HOME/conf" ${resources[1]} "$@"
