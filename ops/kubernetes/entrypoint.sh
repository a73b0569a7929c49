#!/bin/bash
# Spark starts its executors' pods with the one word "executor" and says the rest in the environment. Every other
# command is run as it stands.
set -eu
# Hadoop refuses to run as a user without a name, which is what an arbitrary number is.
if ! getent passwd "$(id -u)" >/dev/null && [ -w /etc/passwd ]; then
    echo "ventes-$(id -u):x:$(id -u):0::/tmp:/bin/false" >>/etc/passwd
fi
if [ "${1:-}" != executor ]; then
    exec tini -s -- "$@"
fi
options=()
while IFS= read -r name; do # SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ...
    options+=("${!name}")
done < <(compgen -e SPARK_JAVA_OPT_ | sort -t_ -k4 -n)
exec tini -s -- "$JAVA_HOME/bin/java" "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
    -cp "${SPARK_CLASSPATH:-}:$SPARK_HOME/jars/*" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
